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
	// BuildID is the build the job was for; it is the id of the job.
	BuildID uuid.UUID
	// Status is JobSucceeded, JobFailed or JobCanceled.
	Status JobStatus
	// CompletedAt is when the job ended. Defaults to the instant that the verb is called with. Deadlines count from it, so
	// a repeated or late report moves nothing. A worker's clock is not believed beyond that: it counts as no earlier than
	// the build and no later than the report.
	CompletedAt time.Time
	// Message is what went wrong, for people. Of a long one 2,000 bytes are kept.
	Message string
}

// JobStarted records that a worker has begun the latest build, which has to be the one of this id. A build is known by its id: a
// number can be guessed, and says nothing about the workspace.
func JobStarted(build uuid.UUID) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		e := edit(&s, now)
		switch b := &e.s.Build; {
		case b.ID != build || !b.Status.Active():
			return Change{}, staleID(&s, build)
		case b.Status != JobPending:
			return Change{}, ErrUnchanged
		}
		e.s.Build.Status = JobRunning
		return e.change(), nil
	}
}

// JobEnded records the end of the latest build: a start gets its deadlines, a delete ends the workspace, a failure is
// counted and may need attention. Reporting the same end again changes nothing. The end of a job can always be recorded:
// where a deadline cannot be computed the workspace has none, and [Decision.Err] says why.
func JobEnded(r JobResult) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if _, ended := jobEvents[r.Status]; !ended {
			return Change{}, invalid.New("JobResult.Status", r.Status, "must be succeeded, failed or canceled")
		}
		e := edit(&s, now)
		b := &e.s.Build
		switch {
		case b.ID != r.BuildID:
			return Change{}, staleID(&s, r.BuildID)
		case b.Status == r.Status:
			return Change{}, ErrUnchanged
		case !b.Status.Active():
			return Change{}, staleID(&s, r.BuildID)
		}
		b.Status = r.Status
		if b.CompletedAt = e.now; !r.CompletedAt.IsZero() {
			b.CompletedAt = micros.Later(micros.Earlier(micros.Of(r.CompletedAt), e.now), b.CreatedAt)
		}
		e.s.Workspace.Backoff = Backoff{}
		r.Message = cutMessage(r.Message)
		e.ended(r)
		return e.change(), nil
	}
}

func stale(s *Snapshot, number int64) error {
	return fmt.Errorf("build %d: %w: the latest is %d, %s", number, ErrStaleBuild, s.Build.Number, s.Build.Status)
}

func staleID(s *Snapshot, id uuid.UUID) error {
	return fmt.Errorf("build %s: %w: the latest is %d, %s", id, ErrStaleBuild, s.Build.Number, s.Build.Status)
}

func (e *editor) ended(r JobResult) {
	b, w := &e.s.Build, &e.s.Workspace
	ev := buildEvent(jobEvents[r.Status], b)
	ev.Message = r.Message
	e.emit(ev, TopicAudit)
	switch r.Status {
	case JobSucceeded:
		w.Failures, w.AttentionAt = 0, time.Time{}
		e.succeeded()
	case JobFailed:
		if b.Reason != ReasonManual {
			e.emit(ev, TopicNotice)
		}
		e.failed(r.Message)
	case JobCanceled:
		e.canceled()
	}
}

// jobEvents are the kinds of the events about the end of a job.
var jobEvents = map[JobStatus]EventKind{
	JobSucceeded: EventBuildSucceeded, JobFailed: EventBuildFailed, JobCanceled: EventBuildCanceled,
}

func (e *editor) succeeded() {
	b, w := &e.s.Build, &e.s.Workspace
	switch b.Transition {
	case TransitionStart:
		e.beginRun(b.CompletedAt)
		w.StartFailures = 0
	case TransitionDelete:
		b.RunSince, b.Deadline, b.MaxDeadline = time.Time{}, time.Time{}, time.Time{}
		w.Deleted = true
		e.emit(Event{Kind: EventDeleted}, TopicAudit)
	case TransitionStop:
		b.RunSince, b.Deadline, b.MaxDeadline = time.Time{}, time.Time{}, time.Time{}
		if d := deletion(&e.s); !d.IsZero() && !dormant(&e.s) {
			w.DeletingAt = d
			e.emit(Event{Kind: EventDeletionSet, Until: d}, TopicAudit, TopicNotice)
		}
	}
}

// beginRun begins the run that a start has made, with its deadlines. A managed workspace gets them when it is handed out.
func (e *editor) beginRun(at time.Time) {
	b := &e.s.Build
	b.RunSince, b.Deadline, b.MaxDeadline = at, time.Time{}, time.Time{}
	if !e.s.Workspace.Managed {
		d := deadlines(&e.s)
		b.Deadline, b.MaxDeadline = d.Deadline, d.MaxDeadline
	}
}

// failed counts failures of what is retried without anybody asking, and ends the retries.
func (e *editor) failed(message string) {
	b, w := &e.s.Build, &e.s.Workspace
	switch {
	case !automatic(b):
		return
	case b.Transition == TransitionStart:
		w.StartFailures++
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

// minPostponed is how long at least a workspace goes on after its automatic stop was canceled.
const minPostponed = time.Hour

// canceled takes the end of an automatic stop for a wish to go on.
func (e *editor) canceled() {
	b := &e.s.Build
	if b.Transition != TransitionStop || !automatic(b) || !runs(&e.s) {
		return
	}
	b.Deadline = capped(later(e.now, max(e.s.Template.Policy.ActivityBump, minPostponed)), b.MaxDeadline)
	e.emit(Event{Kind: EventExtended, Until: b.Deadline}, TopicAudit)
}

// CancelBuild asks for the latest build to be canceled. A pending one ends at once, a running one when its worker reports
// the end.
func CancelBuild(buildNumber int64) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		switch b := &s.Build; {
		case b.Number != buildNumber || !b.Status.Active():
			return Change{}, stale(&s, buildNumber)
		case b.Status == JobPending:
			return JobEnded(JobResult{BuildID: s.Build.ID, Status: JobCanceled})(s, now)
		case b.Status == JobCanceling:
			return Change{}, ErrUnchanged
		}
		e := edit(&s, now)
		e.s.Build.Status = JobCanceling
		return e.change(), nil
	}
}

// RequestBuild makes a build by hand. A start ends dormancy and counts as use. Version is the template version of a start
// or a delete; uuid.Nil leaves the choice to the policy and the workspace, as for automatic builds.
func RequestBuild(transition Transition, version uuid.UUID) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := requestable(&s, transition, version); err != nil {
			return Change{}, err
		}
		e := edit(&s, now)
		e.request(transition, version)
		return e.change(), nil
	}
}

// StartFor makes a start by hand, as [RequestBuild] does, whose run has a TTL of its own, in whole minutes from 1 minute to
// 30 days. The template has to let owners choose their TTL.
func StartFor(ttl time.Duration, version uuid.UUID) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := requestable(&s, TransitionStart, version); err != nil {
			return Change{}, err
		}
		d, err := schedule.ValidateTTL(ttl)
		switch {
		case err != nil:
			return Change{}, err
		case d == 0:
			return Change{}, invalid.New("ttl", ttl, "must be at least %v", schedule.MinTTL)
		case !s.Template.Policy.AllowUserTTL:
			return Change{}, fmt.Errorf("ttl: %w", ErrForbidden)
		}
		e := edit(&s, now)
		e.request(TransitionStart, version)
		e.s.Build.TTL = d
		return e.change(), nil
	}
}

func (e *editor) request(transition Transition, version uuid.UUID) {
	if transition == TransitionStart {
		if dormant(&e.s) {
			e.endDormancy()
		}
		e.s.Workspace.LastUsedAt = micros.Later(e.s.Workspace.LastUsedAt, e.now)
	}
	if version == uuid.Nil {
		e.queue(transition, ReasonManual, time.Time{})
	} else {
		e.queueVersion(transition, ReasonManual, version, time.Time{})
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
	case version != uuid.Nil && t == TransitionStop:
		return invalid.New("version", version, "can only be chosen for a start or a delete")
	case version != uuid.Nil && t == TransitionStart && s.Template.Policy.RequireActiveVersion && version != s.Template.ActiveVersionID:
		return fmt.Errorf("version %s is not the active version: %w", version, ErrForbidden)
	}
	return nil
}

// SetAutostart sets the schedule, nil for none. Occurrences up to now do not count. The audit event, and Explain, name the
// days of the schedule that the template forbids.
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
		if days := ForbiddenDays(autostart, s.Template.Policy.AutostartDays, now); days != 0 {
			text += fmt.Sprintf("; the template forbids %s", days)
		}
		e.emit(Event{Kind: EventChanged, Message: cutMessage("autostart: " + text)}, TopicAudit)
		return e.change(), nil
	}
}

// ForbiddenDays returns the days on which a schedule fires, within a week from now, and which are not among the allowed
// ones, so that a host can say so when a schedule is set.
func ForbiddenDays(autostart *schedule.Cron, allowed schedule.Days, now time.Time) schedule.Days {
	var days schedule.Days
	for from, end := now, now.Add(7*24*time.Hour); ; {
		next := autostart.Next(from)
		if next.IsZero() || next.After(end) {
			return days
		}
		if day := schedule.DaysOf(next.Weekday()); !allowed.Has(next.Weekday()) {
			days |= day
		}
		from = time.Date(next.Year(), next.Month(), next.Day()+1, 0, 0, 0, -1, next.Location()) // one of each day will do
	}
}

// SetAutostop sets the times of day at which the workspace stops by itself, nil for none. A workspace that runs gets the
// next one as its deadline if that is sooner, but leaves at least two hours.
func SetAutostop(autostop *schedule.Cron) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		switch err := settable(&s); {
		case err != nil:
			return Change{}, err
		case !s.Template.Policy.AllowUserTTL:
			return Change{}, fmt.Errorf("autostop: %w", ErrForbidden)
		case autostop.Err() != nil:
			return Change{}, invalid.As("autostop", autostop.Err())
		}
		e := edit(&s, now)
		before := deadlines(&s)
		e.s.Workspace.Autostop = autostop
		if runs(&s) {
			e.moveAutostop(before.Deadline)
		}
		text := "none"
		if autostop != nil {
			text = autostop.String()
		}
		e.emit(Event{Kind: EventChanged, Message: cutMessage("autostop: " + text)}, TopicAudit)
		return e.change(), nil
	}
}

// moveAutostop moves the deadline of a run after its schedule of stops has changed: to the next one, or, if the deadline was
// that of the schedule before, to what is left without it.
func (e *editor) moveAutostop(before time.Time) {
	b, grace := &e.s.Build, e.grace(HoldStops)
	next := micros.Of(e.s.Workspace.Autostop.Next(e.now))
	switch {
	case !next.IsZero() && (b.Deadline.IsZero() || next.Before(b.Deadline)):
		b.Deadline = withGrace(next, b.Deadline, grace)
	case b.Deadline.Equal(before):
		if b.Deadline = deadlines(&e.s).Deadline; !b.Deadline.IsZero() {
			b.Deadline = micros.Later(b.Deadline, grace)
		}
	}
	e.capDeadline()
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
// keeps its deadline. Without one it gets it, at least two hours from now; and without a TTL only what the schedule of stops
// and the cap ask for is left of it.
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
		if runs(&s) {
			e.s.Build.TTL = 0
			e.moveTTL(d)
		}
		e.emit(Event{Kind: EventChanged, Message: fmt.Sprintf("ttl: %v", d)}, TopicAudit)
		return e.change(), nil
	}
}

func (e *editor) moveTTL(ttl time.Duration) {
	b := &e.s.Build
	switch d := deadlines(&e.s).Deadline; {
	case ttl > 0 && b.Deadline.IsZero():
		b.Deadline = micros.Later(d, e.grace(HoldStops))
	case ttl == 0 && !d.IsZero():
		b.Deadline = micros.Later(d, b.Deadline)
		if d.After(e.now) {
			b.Deadline = d
		}
	case ttl == 0:
		b.Deadline = time.Time{}
	}
	e.capDeadline()
}

// Extend moves the deadline of a running workspace to a later instant: at least as far from now as the policy says (29
// minutes by default), at most its maximum, and at most the longest TTL from now. It never shortens the time that is left;
// see [SetDeadline]. It is allowed even where owners may not choose their TTL.
func Extend(deadline time.Time) Verb {
	return moveDeadline(deadline, func(s *Snapshot) time.Time { return s.Build.Deadline })
}

// SetDeadline moves the deadline of a running workspace like [Extend], and may make it earlier.
func SetDeadline(deadline time.Time) Verb {
	return moveDeadline(deadline, func(*Snapshot) time.Time { return time.Time{} })
}

// moveDeadline moves the deadline, but not before the instant that least returns.
func moveDeadline(deadline time.Time, least func(*Snapshot) time.Time) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := settable(&s); err != nil {
			return Change{}, err
		}
		e := edit(&s, now)
		if err := extendable(&e.s, deadline, e.now); err != nil {
			return Change{}, err
		}
		if old := least(&e.s); deadline.Before(old) {
			return Change{}, invalid.New("deadline", deadline.UTC().Format(time.RFC3339), "must not be before the deadline that it extends, %s", old.Format(time.RFC3339))
		}
		e.s.Build.Deadline = micros.Of(deadline)
		e.emit(Event{Kind: EventExtended, Until: e.s.Build.Deadline}, TopicAudit)
		return e.change(), nil
	}
}

func extendable(s *Snapshot, deadline, now time.Time) error {
	b, least := &s.Build, s.Template.Policy.MinExtend
	if least <= 0 {
		least = schedule.MinExtend
	}
	show := deadline.UTC().Format(time.RFC3339)
	switch latest := now.Add(schedule.MaxTTL); {
	case !runs(s) || b.Status.Active() || b.Deadline.IsZero():
		return invalid.New("deadline", show, "can only be moved while the workspace runs with a deadline")
	case deadline.Before(now.Add(least)):
		return invalid.New("deadline", show, "must be at least %v from now, %s", least, now.Add(least).Format(time.RFC3339))
	case deadline.Before(b.runSince()):
		return invalid.New("deadline", show, "must not be before the start completed, %s", b.runSince().Format(time.RFC3339))
	case !b.MaxDeadline.IsZero() && deadline.After(b.MaxDeadline):
		return invalid.New("deadline", show, "must not be after the max deadline, %s", b.MaxDeadline.Format(time.RFC3339))
	case deadline.After(latest):
		return invalid.New("deadline", show, "must not be more than the longest TTL, %v, from now", schedule.MaxTTL)
	}
	return nil
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
		deadline, bumped := bump(&e.s, at)
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
	if !runs(s) || b.Status.Active() || b.Deadline.IsZero() {
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
		if stopsBeforeDormancy(&s) {
			e.endRun()
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

// SetHold suspends rules for the workspace; the zero Hold, or one that has ended, ends what was held. Autostarts that fall
// into a hold are not caught up, stops happen when it ends, dormancy waits for two more hours and deletion for a day.
func SetHold(h Hold) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := settable(&s); err != nil {
			return Change{}, err
		}
		if err := h.Validate(); err != nil {
			return Change{}, err
		}
		h := h.stored()
		e := edit(&s, now)
		if !h.Until.After(e.now) {
			h = Hold{}
		}
		w := &e.s.Workspace
		if h == w.Hold {
			return Change{}, ErrUnchanged
		}
		w.Floors, w.AutostartAfter = w.Floors.leave(&w.Hold, &h, w.AutostartAfter, e.now, jitter(&e.s))
		w.Hold = h
		text := "hold ended"
		if !h.Until.IsZero() {
			text = "hold: " + h.describe()
		}
		e.emit(Event{Kind: EventChanged, Until: h.Until, Message: text}, TopicAudit)
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
