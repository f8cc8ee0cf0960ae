package lifecycle

import (
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/micros"
)

// Apply turns a decision into the change that carries it out. The new build has no id and the change no job: whoever
// queues the build adds both. Deciding again on the changed workspace at the same instant does not find the same thing
// due again.
func Apply(s Snapshot, d Decision, now time.Time) Change {
	return ApplyFor(s, d, now, AllTopics)
}

// ApplyFor is [Apply] for a caller that keeps the events of some topics only. It does not make the others.
func ApplyFor(s Snapshot, d Decision, now time.Time, want Topics) Change {
	e := edit(&s, now)
	e.want = want
	w := &e.s.Workspace
	if d.Transition != TransitionNone {
		e.queue(d.Transition, d.Reason, d.DueAt)
	}
	switch {
	case d.Dormant:
		e.goDormant()
	case d.Missed:
		// Whatever is now later than the bound is given up; an occurrence exactly at the bound is not.
		w.AutostartAfter = e.now.Add(-s.Template.Policy.MaxLateness - jitter(&s) - micros.Tick)
		w.Backoff = Backoff{}
		e.emit(Event{Kind: EventStartMissed, DueAt: d.DueAt}, TopicNotice, TopicAudit)
	case d.Rule == RuleExtend:
		e.extendAtAutostart(d.DueAt)
	case d.Rule == RuleReminder:
		w.RemindedFor = s.Build.Deadline
		e.emit(Event{Kind: EventReminder, DueAt: d.DueAt, Until: stopAt(&s).time()}, TopicNotice)
	}
	return e.change()
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
// from a minute to an hour, plus up to a quarter that is fixed for the workspace and the attempt. Postponing is not a
// failure, and nothing ever gives up. Like [Rearm] it is for whoever runs ticks.
func Postpone(s Snapshot, cause SkipReason, message string, now time.Time) Change {
	const first, limit = time.Minute, time.Hour
	e := edit(&s, now)
	b := &e.s.Workspace.Backoff
	pause := backoff.Doubled(first, b.Attempts, limit)
	spread := backoff.Spread(pause, s.Workspace.ID, uint64(b.Attempts))
	b.Attempts++
	b.Until = now.Add(pause + spread).Truncate(micros.Tick)
	b.Cause, b.Message = cause, message
	return e.change()
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

func edit(s *Snapshot, now time.Time) editor {
	return editor{s: *s, now: now.UTC().Truncate(micros.Tick), want: AllTopics}
}

// change finishes the edit: the wake is what the rules say of the result.
func (e *editor) change() Change {
	if !e.keepWake {
		e.s.Workspace.WakeAt = nextWake(&e.s, e.now)
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
	wake := nextWake(&e.s, e.now)
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
	if t == TransitionStart && old.Number > 0 && version != old.TemplateVersionID {
		e.emit(buildEvent(EventUpdated, &e.s.Build), TopicNotice)
	}
}

func (e *editor) queueVersion(t Transition, why Reason, version uuid.UUID, due time.Time) {
	e.s.Build = Build{
		Number: e.s.Build.Number + 1, TemplateVersionID: version,
		Transition: t, Reason: why, Status: JobPending, CreatedAt: e.now,
	}
	e.newBuild = true
	e.s.Workspace.Backoff = Backoff{}
	ev := buildEvent(EventBuildQueued, &e.s.Build)
	ev.DueAt = due
	e.emit(ev, TopicAudit)
}

// goDormant marks the workspace dormant and fixes when it is deleted.
func (e *editor) goDormant() {
	w := &e.s.Workspace
	w.DormantAt, w.DeletingAt = e.now, time.Time{}
	if d := e.s.Template.Policy.TimeTilAutodelete; d > 0 {
		w.DeletingAt = e.now.Add(d)
	}
	e.emit(Event{Kind: EventDormant, Until: w.DeletingAt}, TopicAudit, TopicNotice)
}

// endDormancy ends dormancy. Autostarts missed during it are not caught up.
func (e *editor) endDormancy() {
	w := &e.s.Workspace
	w.DormantAt, w.DeletingAt = time.Time{}, time.Time{}
	w.LastUsedAt = micros.Later(w.LastUsedAt, e.now)
	w.AutostartAfter = e.now
	e.emit(Event{Kind: EventAwake}, TopicAudit)
}

// extendAtAutostart gives a running workspace the deadline it would have had if it had started at its latest autostart
// time. Occurrences that passed while nobody looked count as one.
func (e *editor) extendAtAutostart(due time.Time) {
	latest := due
	for {
		next, ok := nextOccurrence(&e.s, latest, 0)
		if !ok || next.After(e.now) {
			break
		}
		latest = next
	}
	e.s.Workspace.AutostartAfter = latest.UTC()
	d := ttl(&e.s)
	if d <= 0 {
		return
	}
	b := &e.s.Build
	old := b.Deadline
	if b.Deadline = capped(micros.Later(old, latest.Add(d)), b.MaxDeadline); !b.Deadline.Equal(old) {
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
