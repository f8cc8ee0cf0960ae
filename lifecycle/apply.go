package lifecycle

import (
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/internal/text"
)

// Apply turns a decision into the change that carries it out. The new build has no id and the change no job: whoever
// queues the build adds both. Deciding again on the changed workspace at the same instant does not find the same thing
// due again.
func Apply(s Snapshot, d Decision, now time.Time) Change {
	return ApplyFor(s, d, now, AllTopics)
}

// ApplyFor is [Apply] for a caller that keeps the events of some topics only. It does not make the others.
func ApplyFor(s Snapshot, d Decision, now time.Time, want Topics) Change {
	e := editFor(&s, now, want)
	w := &e.s.Workspace
	if d.Transition != TransitionNone {
		e.queueDue(d)
	}
	switch {
	case d.Dormant:
		e.goDormant()
	case d.Missed:
		w.AutostartAfter = micros.Later(w.AutostartAfter, e.missed())
		w.Backoff, w.StartFailures = Backoff{}, 0
		e.emit(Event{Kind: EventStartMissed, DueAt: d.DueAt}, TopicNotice, TopicAudit)
	case d.Rule == RuleExtend:
		e.extendAtAutostart(d.DueAt)
	case d.Rule == RuleReminder:
		w.RemindedFor = e.s.Build.Deadline
		e.emit(Event{Kind: EventReminder, DueAt: d.DueAt, Until: stopAt(&e.s).time()}, TopicNotice)
	case d.Rule == RuleDeleteReminder:
		w.RemindedFor = released(&e.s, HoldDeletion, armAutodelete(&e.s).at).time()
		e.emit(Event{Kind: EventDeleteReminder, DueAt: d.DueAt, Until: w.RemindedFor}, TopicNotice)
	}
	return e.change()
}

// missed is the instant up to which occurrences are given up with a start that is missed: those that are now later than the
// bound (one exactly at the bound is not), and those that ended before.
func (e *editor) missed() time.Time {
	var until time.Time
	s := &e.s
	if s.Template.Policy.MaxLateness > 0 {
		until = e.now.Add(-lateness(s) - jitter(s) - micros.Tick)
	}
	if stop := endedBy(s, armAutostart(s).at.time(), e.now); !stop.IsZero() {
		until = micros.Later(until, micros.Of(latest(s.Workspace.Autostop.Next, stop, e.now)))
	}
	return until
}

// queueDue makes the build of a decision.
func (e *editor) queueDue(d Decision) {
	due, failures := dueAtFirst(d.Rule, &e.s, e.now), e.s.Workspace.StartFailures
	if d.Transition == TransitionStop {
		due = dueFrom(&e.s, due)
		e.endRun()
	}
	e.queue(d.Transition, d.Reason, d.DueAt)
	e.s.Build.DueAt = due
	if d.Rule == RuleStartRetry || d.Rule == RuleFailedCleanup {
		e.s.Workspace.StartFailures = failures
	}
}

// endRun says that the run ends now: if the stop that follows fails, it is overdue.
func (e *editor) endRun() {
	if b := &e.s.Build; runs(&e.s) && (b.Deadline.IsZero() || b.Deadline.After(e.now)) {
		b.Deadline = capped(e.now, b.MaxDeadline)
	}
}

// Rearm returns the change of a workspace that was due to be looked at and has nothing to do: it sets the next wake and
// clears a back-off that is over, because what it waited for is no longer due. It is for whoever runs ticks: the executor,
// or a host with a scheduler of its own.
func Rearm(s Snapshot, now time.Time) Change {
	e := edit(&s, now)
	if !s.Workspace.Backoff.Until.After(e.now) {
		e.s.Workspace.Backoff = Backoff{}
	}
	return e.change()
}

// Postpone returns the change that tries again later when a due transition could not become a build. The pauses double
// from a minute to an hour, to four minutes where only a worker is missing, plus up to a quarter that is fixed for the
// workspace and the attempt. What the brake on deletions holds asks again at the next full ten minutes, all together. A new
// version of the template ends a back-off, and a worker that returns the one that waits for it ([WorkerReturned]). Postponing is not a failure, and nothing ever gives up. Like [Rearm] it is for
// whoever runs ticks.
func Postpone(s Snapshot, cause SkipReason, message string, now time.Time) Change {
	e := edit(&s, now)
	b := &e.s.Workspace.Backoff
	if cause == SkipBrake && b.Cause != SkipBrake {
		e.emit(Event{Kind: EventDeletionHeld, Message: message}, TopicAudit, TopicNotice)
	}
	if outdated(&e.s) || (cause == SkipBrake) != (b.Cause == SkipBrake) {
		*b = Backoff{}
	}
	if cause == SkipBrake {
		b.Until = e.now.Truncate(brakePause).Add(brakePause)
	} else {
		b.Until = e.now.Add(postponement(&e.s, cause, b.Attempts))
	}
	b.Attempts++
	b.Cause, b.Message = cause, cutMessage(message)
	return e.change()
}

// brakePause is how far the instants are apart at which deletions ask again that the brake holds. They ask together, so
// that what has been due for longest goes first.
const brakePause = 10 * time.Minute

// postponement is the pause after a number of attempts before.
func postponement(s *Snapshot, cause SkipReason, attempts int) time.Duration {
	const first = time.Minute
	limit := time.Hour
	if cause == SkipNoWorker {
		limit = 4 * time.Minute // workers return at any time, and finding none costs little
	}
	pause := backoff.Doubled(first, attempts, limit)
	return (pause + backoff.Spread(pause, s.Workspace.ID, uint64(attempts))).Truncate(micros.Tick)
}

// editor collects what a pure function changes about one workspace.
type editor struct {
	s        Snapshot
	now      time.Time
	newBuild bool
	// keepWake leaves WakeAt alone: see lazily.
	keepWake bool
	want     Topics
	events   []Event
}

func edit(s *Snapshot, now time.Time) editor { return editFor(s, now, AllTopics) }

// editFor begins an edit: whatever changes a workspace first brings it in line with its template and owner.
func editFor(s *Snapshot, now time.Time, want Topics) editor {
	e := editor{s: *s, now: now.UTC().Truncate(micros.Tick), want: want}
	if !follows(s) {
		e.follow()
	}
	return e
}

// change finishes the edit: the wake is what the rules say of the result.
func (e *editor) change() Change {
	e.s.Workspace.Floors.forget(e.now)
	if !e.keepWake {
		_, e.s.Workspace.WakeAt = Evaluate(&e.s, e.now)
	}
	return Change{
		Revision:  e.s.Workspace.Revision,
		Workspace: e.s.Workspace,
		Build:     e.s.Build,
		NewBuild:  e.newBuild,
		Events:    e.events,
	}
}

// lazily leaves the wake as it is if that is not too late. Activity is frequent and only postpones, and in PostgreSQL an
// update that changes no indexed column is a cheap one. The tick that comes too early finds nothing and re-arms.
func (e *editor) lazily() {
	_, wake := Evaluate(&e.s, e.now)
	old := e.s.Workspace.WakeAt
	e.keepWake = !old.IsZero() && (wake.IsZero() || !old.After(wake))
}

// emit adds an event for each of the topics that somebody wants.
func (e *editor) emit(ev Event, topics ...Topic) {
	for _, topic := range topics {
		if e.want.Has(topic) {
			e.events = append(e.events, ev.of(&e.s.Workspace, e.s.Workspace.Revision, topic, e.now))
		}
	}
}

// queue makes a new build the latest one.
func (e *editor) queue(t Transition, why Reason, due time.Time) {
	old := e.s.Build
	version := e.s.VersionFor(t)
	e.queueVersion(t, why, version, due)
	if old.Number > 0 && version != old.TemplateVersionID { // only a start changes it
		e.emit(buildEvent(EventUpdated, &e.s.Build), TopicNotice)
	}
}

func (e *editor) queueVersion(t Transition, why Reason, version uuid.UUID, due time.Time) {
	old := &e.s.Build
	e.s.Build = Build{
		Number: old.Number + 1, TemplateVersionID: version,
		Transition: t, Reason: why, Status: JobPending, CreatedAt: e.now,
		TTL: old.TTL, RunSince: old.runSince(), Deadline: old.Deadline, MaxDeadline: old.MaxDeadline,
	}
	e.newBuild = true
	w := &e.s.Workspace
	w.Backoff, w.StartFailures = Backoff{}, 0
	if t == TransitionStart {
		e.s.Build.TTL = 0
		if !dormant(&e.s) {
			w.DeletingAt = time.Time{}
		}
	}
	ev := buildEvent(EventBuildQueued, &e.s.Build)
	ev.DueAt = due
	e.emit(ev, TopicAudit)
}

// goDormant marks the workspace dormant and fixes when it is deleted. A stop that it needs was queued before.
func (e *editor) goDormant() {
	w := &e.s.Workspace
	w.DormantAt = e.now
	w.DeletingAt = micros.Earlier(w.DeletingAt, deletion(&e.s))
	e.emit(Event{Kind: EventDormant, Until: w.DeletingAt}, TopicAudit, TopicNotice)
}

// endDormancy ends dormancy. Autostarts missed during it are not caught up, and a stopped workspace that is to be deleted
// after a time counts as stopped now.
func (e *editor) endDormancy() {
	w := &e.s.Workspace
	w.DormantAt, w.DeletingAt = time.Time{}, time.Time{}
	w.LastUsedAt = micros.Later(w.LastUsedAt, e.now)
	w.AutostartAfter = micros.Later(w.AutostartAfter, e.now)
	if d := deletion(&e.s); !d.IsZero() {
		w.DeletingAt = later(e.now, e.s.Template.Policy.DeleteStopped)
	}
	e.emit(Event{Kind: EventAwake}, TopicAudit)
}

// extendAtAutostart gives a running workspace the deadline it would have had if it had started at its latest autostart
// time. Occurrences that passed while nobody looked count as one.
func (e *editor) extendAtAutostart(due time.Time) {
	b, old := &e.s.Build, e.s.Build.Deadline
	occurrence := latest(func(t time.Time) time.Time { return nextOccurrence(&e.s, t, 0).time() }, due, e.now)
	if b.Deadline = capped(micros.Later(old, micros.Of(occurrence.Add(ttl(&e.s)))), b.MaxDeadline); !b.Deadline.Equal(old) {
		e.emit(Event{Kind: EventExtended, DueAt: due, Until: b.Deadline}, TopicAudit)
	}
}

// capped returns the deadline, or the cap if there is one and it is earlier.
func capped(deadline, limit time.Time) time.Time {
	if !limit.IsZero() && limit.Before(deadline) {
		return limit
	}
	return deadline
}

// maxMessage bounds what is kept of a message for people: it is part of every snapshot, or of an event.
const maxMessage = 2000

// cutMessage makes a message storable, and shortens it.
func cutMessage(message string) string { return text.Clean(message, maxMessage) }

// maxKept bounds what is kept of the error and of the result of a build: both are part of every snapshot.
const maxKept = 1000

func cutText(s string, most int) string { return text.Clean(s, most) }
