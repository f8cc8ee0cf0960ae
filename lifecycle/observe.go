package lifecycle

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
)

// Observation is what the host has seen of a workspace's runtime: what no build of the engine has made.
type Observation struct {
	// Running says whether it runs, and Deleted that nothing of it is left, also nothing that could be started again.
	Running bool `json:"running"`
	Deleted bool `json:"deleted,omitempty"`
	// Since is when it began to run, or to be stopped. Defaults to now, which is also the latest.
	Since time.Time `json:"since,omitzero"`
	// BuildID, if set, is the latest build that was known when it was seen. If another one has been made since, nothing
	// changes: that one says more.
	BuildID uuid.UUID `json:"build_id,omitzero"`
	// Version is the template version that runs. Defaults to the one that the latest build used, or the active one.
	Version uuid.UUID `json:"version,omitzero"`
}

// ReasonObserved is the reason of a build that the host has seen the effect of: see [Observe].
const ReasonObserved Reason = "observed"

// EventObserved: the host saw that the workspace runs, or stands still, without a build.
const EventObserved EventKind = "workspace.observed"

// Observe takes over what the host has seen: a fleet that another scheduler has started, or a process that ended by itself.
// The workspace gets a build that has succeeded already and has no job. What its template's policy makes of it is what it
// makes of a build's success: a run gets its deadlines, counted from its beginning, and a workspace that stands still is deleted
// after a time where the policy says so. One that is deleted stays so. What would be due at once because of that has the default graces of [PolicyTerms]:
// a stop and dormancy wait for 2 hours, a deletion for 24.
//
// A managed workspace is observed like any other, for whoever controls it: a pool removes a member that stands still.
//
// It may be repeated. Nothing changes if the workspace is known to be so, and while a build is active: its end tells. Nor
// does something that was seen to be stopped before the present run began.
func Observe(o Observation) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := validInstant("Observation.Since", o.Since); err != nil {
			return Change{}, err
		}
		if o.Running && o.Deleted {
			return Change{}, invalid.New("Observation.Deleted", o.Deleted, "must be false of what is running")
		}
		switch {
		case s.Workspace.Deleted:
			return Change{}, ErrDeleted
		case !news(&s, &o):
			return Change{}, ErrUnchanged
		case micros.Of(o.Since).After(now.Add(maxSkew)):
			return Change{}, invalid.New("Observation.Since", o.Since, "must not be after now, %v", now.UTC())
		}
		e := edit(&s, now)
		e.observe(o)
		return e.change(), nil
	}
}

// maxSkew is how far the clock of whoever has seen something may be ahead.
const maxSkew = time.Minute

// news reports whether an observation says anything that is not known.
func news(s *Snapshot, o *Observation) bool {
	b := &s.Build
	switch {
	case b.Status.Active(), o.BuildID != uuid.Nil && o.BuildID != b.ID:
		return false
	case b.Number == 0:
		return true
	case o.Running:
		return !runs(s)
	case o.Deleted:
		return true
	}
	// A start that failed may have left nothing running, and a stop is what says so.
	stands := b.Transition != TransitionStop || b.Status != JobSucceeded
	return stands && (o.Since.IsZero() || !micros.Of(o.Since).Before(b.CompletedAt))
}

func (e *editor) observe(o Observation) {
	known := e.s.Build.Number > 0
	at := e.now
	if !o.Since.IsZero() {
		at = micros.Later(micros.Earlier(micros.Of(o.Since), e.now), e.s.Build.CompletedAt)
	}
	transition, what := TransitionStop, "stopped"
	switch {
	case o.Running:
		transition, what = TransitionStart, "running"
		if dormant(&e.s) {
			e.endDormancy()
		}
	case o.Deleted:
		transition, what = TransitionDelete, "deleted"
	}
	e.concluded(transition, o.Version, at)
	w := &e.s.Workspace
	w.Failures, w.StartFailures, w.AttentionAt, w.Backoff = 0, 0, time.Time{}, Backoff{}
	if !known {
		w.AutostartAfter = micros.Later(w.AutostartAfter, e.now) // what was due before is the other scheduler's
	}
	terms := PolicyTerms{}.withDefaults()
	w.Floors.Stop = micros.Later(w.Floors.Stop, later(e.now, terms.StopGrace))
	w.Floors.Dormancy = micros.Later(w.Floors.Dormancy, later(e.now, terms.StopGrace))
	w.Floors.Delete = micros.Later(w.Floors.Delete, later(e.now, terms.DeleteGrace))
	ev := buildEvent(EventObserved, &e.s.Build)
	ev.Message = fmt.Sprintf("%s since %s", what, at.Format(time.RFC3339))
	e.emit(ev, TopicAudit)
	e.succeeded()
}

// concluded makes a build the latest one that nobody has to carry out.
func (e *editor) concluded(t Transition, version uuid.UUID, at time.Time) {
	if version == uuid.Nil {
		version = e.s.VersionFor(t)
	}
	old := &e.s.Build
	e.s.Build = Build{
		Number: old.Number + 1, TemplateVersionID: version, Transition: t, Reason: ReasonObserved, Status: JobSucceeded,
		CreatedAt: at, CompletedAt: at, RunSince: old.runSince(), Deadline: old.Deadline, MaxDeadline: old.MaxDeadline,
	}
	e.newBuild = true
	if t == TransitionStart && !dormant(&e.s) {
		e.s.Workspace.DeletingAt = time.Time{}
	}
}
