package lifecycle

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

// Verb is something that happens to a workspace besides the rules, as a pure function from a snapshot to a change. The
// executor's Update loads, calls and commits, and starts over when another commit was faster, so a verb may run several
// times. It returns [ErrUnchanged] if there is nothing to do, and an [*invalid.Error] that names the argument if one is bad.
type Verb func(s Snapshot, now time.Time) (Change, error)

// Errors of verbs.
var (
	// ErrUnchanged says that the workspace already is as the verb wants it.
	ErrUnchanged = errors.New("nothing to change")
	// ErrBuildActive says that a build is pending or running and has to end first.
	ErrBuildActive = errors.New("a build is active")
	// ErrStaleBuild says that the build is not the latest one, or has already ended in another way.
	ErrStaleBuild = errors.New("not the latest active build")
	// ErrDeleted says that the workspace is deleted.
	ErrDeleted = errors.New("workspace is deleted")
	// ErrManaged says that something else controls the workspace; its lifecycle begins when it is handed out.
	ErrManaged = errors.New("workspace is managed by something else")
	// ErrForbidden says that the template's policy does not allow it.
	ErrForbidden = errors.New("not allowed by the template's policy")
)

// JobResult is how the job of a build ended.
type JobResult struct {
	// BuildNumber is the build the job was for.
	BuildNumber int64
	// Status is JobSucceeded, JobFailed or JobCanceled.
	Status JobStatus
	// CompletedAt is when the job ended. Defaults to the instant that the verb is called with. Deadlines count from it, so
	// a repeated or late report moves nothing.
	CompletedAt time.Time
	// Message is what went wrong, for people.
	Message string
}

// JobStarted records that a worker has begun the latest build.
func JobStarted(buildNumber int64) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		e := edit(&s, now)
		switch b := &e.s.Build; {
		case b.Number != buildNumber || !b.Status.Active():
			return Change{}, stale(&s, buildNumber)
		case b.Status != JobPending:
			return Change{}, ErrUnchanged
		}
		e.s.Build.Status = JobRunning
		return e.change(), nil
	}
}

// JobEnded records the end of the latest build: a start gets its deadlines, a delete ends the workspace, a failure is
// counted and may need attention. Reporting the same end again changes nothing.
func JobEnded(r JobResult) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if _, ended := jobEvents[r.Status]; !ended {
			return Change{}, invalid.New("JobResult.Status", r.Status, "must be succeeded, failed or canceled")
		}
		e := edit(&s, now)
		b := &e.s.Build
		switch {
		case b.Number == r.BuildNumber && b.Status == r.Status:
			return Change{}, ErrUnchanged
		case b.Number != r.BuildNumber || !b.Status.Active():
			return Change{}, stale(&s, r.BuildNumber)
		}
		b.Status = r.Status
		if b.CompletedAt = r.CompletedAt.UTC().Truncate(micros.Tick); r.CompletedAt.IsZero() {
			b.CompletedAt = e.now
		}
		e.s.Workspace.Backoff = Backoff{}
		if err := e.ended(r); err != nil {
			return Change{}, err
		}
		return e.change(), nil
	}
}

func stale(s *Snapshot, number int64) error {
	return fmt.Errorf("build %d: %w: the latest is %d, %s", number, ErrStaleBuild, s.Build.Number, s.Build.Status)
}

func (e *editor) ended(r JobResult) error {
	b, w := &e.s.Build, &e.s.Workspace
	ev := buildEvent(jobEvents[r.Status], b)
	ev.Message = r.Message
	e.emit(ev, TopicAudit)
	switch r.Status {
	case JobSucceeded:
		w.Failures, w.AttentionAt = 0, time.Time{}
		return e.succeeded()
	case JobFailed:
		if b.Reason != ReasonManual {
			e.emit(ev, TopicNotice)
		}
		e.failed(r.Message)
	}
	return nil
}

// jobEvents are the kinds of the events about the end of a job.
var jobEvents = map[JobStatus]EventKind{
	JobSucceeded: EventBuildSucceeded, JobFailed: EventBuildFailed, JobCanceled: EventBuildCanceled,
}

func (e *editor) succeeded() error {
	b, w := &e.s.Build, &e.s.Workspace
	switch b.Transition {
	case TransitionDelete:
		w.Deleted = true
		e.emit(Event{Kind: EventDeleted}, TopicAudit)
	case TransitionStart:
		if w.Managed {
			return nil // whoever it is handed to gets the deadlines
		}
		d, err := deadlines(&e.s)
		if err != nil {
			return fmt.Errorf("deadlines of build %d: %w", b.Number, err)
		}
		b.Deadline, b.MaxDeadline = d.Deadline, d.MaxDeadline
	}
	return nil
}

// deadlines computes what the latest build, a completed start, gets from the policy. It counts from the completion, so
// that computing again later moves nothing.
func deadlines(s *Snapshot) (schedule.Deadlines, error) {
	d, err := schedule.Autostop(schedule.AutostopInput{
		CompletedAt:   s.Build.CompletedAt,
		TTL:           ttl(s),
		Autostart:     usable(s.Workspace.Autostart),
		AutostartDays: s.Template.Policy.AutostartDays,
		Requirement:   s.Template.Policy.Requirement,
		QuietHours:    usable(s.Owner.QuietHours),
	})
	return schedule.Deadlines{Deadline: micros.Of(d.Deadline), MaxDeadline: micros.Of(d.MaxDeadline)}, err
}

// usable returns the schedule if it can be used: an unusable one counts as none for the deadlines.
func usable(c *schedule.Cron) *schedule.Cron {
	if c == nil || c.Err() != nil {
		return nil
	}
	return c
}

// failed counts failures of what is retried without anybody asking, and ends the retries.
func (e *editor) failed(message string) {
	b, w := &e.s.Build, &e.s.Workspace
	if b.Reason != ReasonFailedCleanup && b.Reason != ReasonAutodelete {
		return
	}
	w.Failures++
	if w.Failures < e.s.Template.Policy.Retry.withDefaults().Max {
		return
	}
	w.AttentionAt = e.now
	ev := buildEvent(EventNeedsAttention, b)
	ev.Message = message
	e.emit(ev, TopicAudit, TopicNotice)
}

// CancelBuild asks for the latest build to be canceled. A pending one ends at once, a running one when its worker reports
// the end.
func CancelBuild(buildNumber int64) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		switch b := &s.Build; {
		case b.Number != buildNumber || !b.Status.Active():
			return Change{}, stale(&s, buildNumber)
		case b.Status == JobPending:
			return JobEnded(JobResult{BuildNumber: buildNumber, Status: JobCanceled})(s, now)
		case b.Status == JobCanceling:
			return Change{}, ErrUnchanged
		}
		e := edit(&s, now)
		e.s.Build.Status = JobCanceling
		return e.change(), nil
	}
}

// RequestBuild makes a build by hand. A start ends dormancy and counts as use. Version is the template version of a start;
// uuid.Nil leaves the choice to the policy and the workspace, as for autostarts.
func RequestBuild(transition Transition, version uuid.UUID) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := requestable(&s, transition, version); err != nil {
			return Change{}, err
		}
		e := edit(&s, now)
		if transition == TransitionStart {
			if dormant(&s) {
				e.endDormancy()
			}
			e.s.Workspace.LastUsedAt = micros.Later(s.Workspace.LastUsedAt, e.now)
		}
		if version == uuid.Nil {
			e.queue(transition, ReasonManual, time.Time{})
		} else {
			e.queueVersion(transition, ReasonManual, version, time.Time{})
		}
		return e.change(), nil
	}
}

func requestable(s *Snapshot, t Transition, version uuid.UUID) error {
	switch {
	case t != TransitionStart && t != TransitionStop && t != TransitionDelete:
		return invalid.New("transition", t, "must be start, stop or delete")
	case s.Workspace.Deleted:
		return ErrDeleted
	case s.Build.Status.Active():
		return fmt.Errorf("build %d is %s: %w", s.Build.Number, s.Build.Status, ErrBuildActive)
	case version != uuid.Nil && t != TransitionStart:
		return invalid.New("version", version, "can only be chosen for a start")
	case version != uuid.Nil && s.Template.Policy.RequireActiveVersion && version != s.Template.ActiveVersionID:
		return fmt.Errorf("version %s is not the active version: %w", version, ErrForbidden)
	}
	return nil
}

// SetAutostart sets the schedule, nil for none. Occurrences up to now do not count.
func SetAutostart(autostart *schedule.Cron) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := autostartable(&s, autostart, now); err != nil {
			return Change{}, err
		}
		e := edit(&s, now)
		e.s.Workspace.Autostart, e.s.Workspace.AutostartAfter = autostart, e.now
		text := "none"
		if autostart != nil {
			text = autostart.String()
		}
		e.emit(Event{Kind: EventChanged, Message: "autostart: " + text}, TopicAudit)
		return e.change(), nil
	}
}

// settable reports why the lifecycle of a workspace cannot be changed by hand.
func settable(s *Snapshot) error {
	switch {
	case s.Workspace.Deleted:
		return ErrDeleted
	case s.Workspace.Managed:
		return ErrManaged
	}
	return nil
}

func autostartable(s *Snapshot, c *schedule.Cron, now time.Time) error {
	switch err := settable(s); {
	case err != nil:
		return err
	case c == nil:
		return nil
	case !s.Template.Policy.AllowUserAutostart:
		return fmt.Errorf("autostart: %w", ErrForbidden)
	case c.Err() != nil:
		return invalid.As("autostart", c.Err())
	}
	if _, ok := c.NextAllowed(now, s.Template.Policy.AutostartDays); !ok {
		return invalid.New("autostart", c.Text(), "must fire on a day that the template allows (%s)", s.Template.Policy.AutostartDays)
	}
	return nil
}

// SetTTL sets the run time before autostop, 0 for none, else whole minutes from 1 minute to 30 days. A running workspace
// keeps its deadline, except that without a TTL only the cap of the autostop requirement is left of it.
func SetTTL(ttl time.Duration) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := settable(&s); err != nil {
			return Change{}, err
		}
		d, err := schedule.ValidateTTL(ttl)
		switch {
		case !s.Template.Policy.AllowUserTTL:
			return Change{}, fmt.Errorf("ttl: %w", ErrForbidden)
		case err != nil:
			return Change{}, err
		}
		e := edit(&s, now)
		e.s.Workspace.TTL = d
		if b := &e.s.Build; d == 0 && b.Transition == TransitionStart && b.Status == JobSucceeded {
			b.Deadline = b.MaxDeadline
		}
		e.emit(Event{Kind: EventChanged, Message: fmt.Sprintf("ttl: %v", d)}, TopicAudit)
		return e.change(), nil
	}
}

// Extend moves the deadline of a running workspace, to at least 29 minutes from now and at most its maximum. The new
// deadline may be earlier than the old one. It is allowed even where owners may not choose their TTL.
func Extend(deadline time.Time) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := settable(&s); err != nil {
			return Change{}, err
		}
		b := &s.Build
		if b.Transition != TransitionStart || b.Status != JobSucceeded || b.Deadline.IsZero() {
			return Change{}, invalid.New("deadline", deadline.Format(time.RFC3339), "can only be moved while the workspace runs with a deadline")
		}
		err := schedule.ValidateExtend(schedule.ExtendInput{
			Now: now, CompletedAt: b.CompletedAt, Deadline: b.Deadline, MaxDeadline: b.MaxDeadline, NewDeadline: deadline,
		})
		if err != nil {
			return Change{}, invalid.As("deadline", err)
		}
		e := edit(&s, now)
		e.s.Build.Deadline = micros.Of(deadline)
		e.emit(Event{Kind: EventExtended, Until: e.s.Build.Deadline}, TopicAudit)
		return e.change(), nil
	}
}

// Used records activity at an instant: the workspace was last used then, and the policy's bump moves its deadline. An
// instant in the future counts as now. WakeAt is left alone unless it would be too late.
//
// The executor collects activity and applies it in batches.
func Used(at time.Time) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if s.Workspace.Deleted || s.Workspace.Managed {
			return Change{}, ErrUnchanged
		}
		e := edit(&s, now)
		if at = micros.Of(at); at.After(e.now) {
			at = e.now
		}
		deadline, bumped := bump(&s, at)
		if !bumped && !at.After(s.Workspace.LastUsedAt) {
			return Change{}, ErrUnchanged
		}
		e.s.Workspace.LastUsedAt = micros.Later(s.Workspace.LastUsedAt, at)
		e.s.Build.Deadline = deadline
		e.lazily()
		return e.change(), nil
	}
}

// bump returns the deadline after activity at an instant.
func bump(s *Snapshot, at time.Time) (time.Time, bool) {
	b := &s.Build
	if b.Transition != TransitionStart || b.Status != JobSucceeded || b.Deadline.IsZero() {
		return b.Deadline, false
	}
	in := schedule.BumpInput{
		Now: at, Deadline: b.Deadline, MaxDeadline: b.MaxDeadline, Bump: s.Template.Policy.ActivityBump, TTL: ttl(s),
	}
	if c := usable(s.Workspace.Autostart); c != nil {
		// Only a first occurrence on an allowed day is one the workspace may run into.
		if next := c.Next(at); !next.IsZero() && s.Template.Policy.AutostartDays.Has(next.Weekday()) {
			in.NextAutostart = next
		}
	}
	deadline, changed := schedule.Bump(in)
	return micros.Of(deadline), changed
}

// MarkDormant marks a workspace dormant by hand, stopping it first if it may be running. With notify its owner gets the
// notice that the rule would have sent.
func MarkDormant(notify bool) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		switch err := settable(&s); {
		case err != nil:
			return Change{}, err
		case dormant(&s):
			return Change{}, ErrUnchanged
		case s.Build.Status.Active():
			return Change{}, fmt.Errorf("build %d is %s: %w", s.Build.Number, s.Build.Status, ErrBuildActive)
		}
		e := edit(&s, now)
		if stopsBeforeDormancy(&s.Build) {
			e.queue(TransitionStop, ReasonManual, time.Time{})
		}
		e.goDormant()
		if !notify {
			e.events = dropTopic(e.events, TopicNotice)
		}
		return e.change(), nil
	}
}

// EndDormancy makes a dormant workspace an ordinary one again. Autostarts missed meanwhile are not caught up.
func EndDormancy() Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		switch err := settable(&s); {
		case err != nil:
			return Change{}, err
		case !dormant(&s):
			return Change{}, ErrUnchanged
		}
		e := edit(&s, now)
		e.endDormancy()
		return e.change(), nil
	}
}

// Hold suspends every automatic start, stop, dormancy and deletion until an instant; the zero time, or an instant that
// has passed, ends a hold. Autostarts that fall into the hold are not caught up; everything else happens when it ends.
func Hold(until time.Time) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := settable(&s); err != nil {
			return Change{}, err
		}
		if micros.Of(until).Equal(s.Workspace.HoldUntil) {
			return Change{}, ErrUnchanged
		}
		e := edit(&s, now)
		e.s.Workspace.HoldUntil = micros.Of(until)
		if s.Workspace.HoldUntil.After(e.now) && !until.After(e.now) {
			// What fell into the hold so far stays skipped.
			e.s.Workspace.AutostartAfter = micros.Later(s.Workspace.AutostartAfter, e.now)
		}
		e.emit(Event{Kind: EventChanged, Until: e.s.Workspace.HoldUntil, Message: "hold"}, TopicAudit)
		return e.change(), nil
	}
}

// ClearAttention lets automatic transitions go on after somebody has looked.
func ClearAttention() Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if s.Workspace.AttentionAt.IsZero() {
			return Change{}, ErrUnchanged
		}
		e := edit(&s, now)
		e.s.Workspace.AttentionAt, e.s.Workspace.Failures = time.Time{}, 0
		e.emit(Event{Kind: EventChanged, Message: "attention cleared"}, TopicAudit)
		return e.change(), nil
	}
}

// SetAutomaticUpdates chooses whether starts use the template's active version.
func SetAutomaticUpdates(on bool) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		switch {
		case s.Workspace.Deleted:
			return Change{}, ErrDeleted
		case s.Workspace.AutomaticUpdates == on:
			return Change{}, ErrUnchanged
		}
		e := edit(&s, now)
		e.s.Workspace.AutomaticUpdates = on
		e.emit(Event{Kind: EventChanged, Message: fmt.Sprintf("automatic updates: %t", on)}, TopicAudit)
		return e.change(), nil
	}
}

// dropTopic removes the events of a topic, in place.
func dropTopic(events []Event, t Topic) []Event {
	kept := events[:0]
	for _, e := range events {
		if e.Topic != t {
			kept = append(kept, e)
		}
	}
	return kept
}
