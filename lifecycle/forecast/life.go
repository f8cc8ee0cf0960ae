package forecast

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// life is one workspace while time passes. It knows no rule: at each tick that may find something it asks Decide and
// applies the answer, and what the world does (the end of a job, somebody at work) goes through the same verbs as in
// production. So it cannot disagree with the executor where the assumptions hold.
type life struct {
	a   Assumptions
	s   lifecycle.Snapshot
	now time.Time

	// looked is the last tick that did something: one tick does one thing to a workspace.
	looked time.Time
	// ends is when the job of the active build ends, zero without one, and how the status it then has.
	ends time.Time
	how  lifecycle.JobStatus

	// work is the latest session or, while nobody is there, the one that comes. beat is the next report of activity,
	// retry when somebody who waits asks for a start; zero for never.
	work        Session
	beat, retry time.Time

	// up says that the workspace runs: its last build that succeeded is a start.
	up bool
	// err is why the life cannot go on.
	err error
}

// moment is something that happened in a life. What it led to is in the life.
type moment struct {
	at   time.Time
	what what
	d    lifecycle.Decision // of a rule that acted
	// after is the instant of what happened before, the beginning if nothing did.
	after time.Time
	// until is the stop or the deletion that a reminder tells of.
	until time.Time
}

type what uint8

const (
	nothing what = iota
	// ended: the job of the latest build ended.
	ended
	// came: somebody came to work.
	came
	// asked: somebody asked for a start by hand.
	asked
	// acted: a rule acted.
	acted
)

// newLife begins at an instant. The assumptions have their defaults.
func newLife(s lifecycle.Snapshot, from time.Time, a Assumptions) *life {
	l := &life{a: a, s: s, now: from.UTC()}
	l.up = mayRun(&s.Build)
	if l.s.Engine.Interval == 0 {
		l.s.Engine.Interval = a.Tick // as the executor's tick does
	}
	l.s.Workspace.WakeAt = lifecycle.NextWake(l.s, l.now)
	if s.Build.Status.Active() {
		l.queued()
	}
	if l.work = a.Work(l.now); l.work.Begin.Before(l.now) && !l.work.End.IsZero() {
		l.beat = l.now
	} else {
		l.beat = l.work.Begin
	}
	return l
}

// mayRun reports whether a workspace with this latest build runs, as far as it tells: a stop that has not succeeded leaves
// running what ran.
func mayRun(b *lifecycle.Build) bool {
	switch b.Transition {
	case lifecycle.TransitionStart:
		return b.Status == lifecycle.JobSucceeded
	case lifecycle.TransitionStop, lifecycle.TransitionDelete:
		return b.Status != lifecycle.JobSucceeded
	}
	return false
}

// present reports whether somebody is at work.
func (l *life) present() bool { return l.work.Has(l.now) }

// next goes on to the next moment before until. It ends when the workspace is deleted, when nothing will ever happen, and
// when a job's end cannot be recorded; err then says why.
func (l *life) next(until time.Time) (moment, bool) {
	for !l.s.Workspace.Deleted && l.err == nil {
		at, step := l.upcoming()
		if step == nil || !at.Before(until) {
			break
		}
		before := l.now
		l.now = at
		if m := step(l); m.what != nothing {
			m.at, m.after = at, before
			return m, true
		}
	}
	return moment{}, false
}

// upcoming returns what happens next. At one instant jobs end first, then people work, then the executor ticks: a tick
// flushes the activity that it knows of before it decides.
func (l *life) upcoming() (at time.Time, step func(*life) moment) {
	for _, c := range [...]struct {
		at   time.Time
		step func(*life) moment
	}{{l.ends, (*life).end}, {l.retry, (*life).open}, {l.beat, (*life).report}, {l.tick(), (*life).look}} {
		if !c.at.IsZero() && (step == nil || c.at.Before(at)) {
			at, step = c.at, c.step
		}
	}
	return at, step
}

// tick is the next tick that looks at the workspace.
func (l *life) tick() time.Time {
	wake := l.s.Workspace.WakeAt
	if wake.IsZero() {
		return wake
	}
	if wake.Before(l.now) {
		wake = l.now
	}
	tick := wake.Truncate(l.a.Tick)
	if tick.Before(wake) {
		tick = tick.Add(l.a.Tick)
	}
	if !l.looked.IsZero() && !tick.After(l.looked) {
		tick = l.looked.Add(l.a.Tick)
	}
	return tick
}

// look is a tick.
func (l *life) look() moment {
	l.looked = l.now
	d := lifecycle.Decide(l.s, l.now)
	if !d.Acts() {
		l.take(lifecycle.Rearm(l.s, l.now))
		return moment{}
	}
	m := moment{what: acted, d: d}
	c := lifecycle.ApplyFor(l.s, d, l.now, told(d))
	for _, e := range c.Events {
		m.until = e.Until
	}
	l.take(c)
	if d.Transition != lifecycle.TransitionNone {
		l.queued()
	}
	return m
}

// told is what has to be known of a decision beyond the change: only a reminder's notice says what it announces.
func told(d lifecycle.Decision) lifecycle.Topics {
	if d.Rule == lifecycle.RuleReminder || d.Rule == lifecycle.RuleDeleteReminder {
		return 1 << lifecycle.TopicNotice
	}
	return 0
}

// take is what a store does with a change.
func (l *life) take(c lifecycle.Change) {
	l.s.Workspace, l.s.Build = c.Workspace, c.Build
	l.s.Workspace.Revision = c.Revision + 1
}

func (l *life) do(v lifecycle.Verb) error {
	c, err := v(l.s, l.now)
	if err == nil {
		l.take(c)
	}
	return err
}

// queued settles how the job of the latest build goes.
func (l *life) queued() {
	o := l.a.Build(l.s)
	l.ends, l.how = l.s.Build.CreatedAt.Add(o.Took), o.Status
	if l.ends.Before(l.now) {
		l.ends = l.now
	}
}

// end is the end of a job. Somebody who waits for the workspace then tries again.
func (l *life) end() moment {
	l.ends = time.Time{}
	l.err = l.do(lifecycle.JobEnded(lifecycle.JobResult{BuildID: l.s.Build.ID, Status: l.how}))
	if l.err == nil && l.how == lifecycle.JobSucceeded {
		l.up = l.s.Build.Transition == lifecycle.TransitionStart
		l.wait()
	}
	return moment{what: ended}
}

// wait has somebody who is there and cannot work ask for a start.
func (l *life) wait() {
	if l.present() && !l.ready() && !l.a.LeaveStopped {
		l.retry = l.now
	}
}

// ready reports whether somebody could work in it.
func (l *life) ready() bool {
	b := &l.s.Build
	return b.Transition == lifecycle.TransitionStart && b.Status == lifecycle.JobSucceeded && l.s.Workspace.DormantAt.IsZero()
}

// open asks for a start by hand. A build that is on its way has to end first.
func (l *life) open() moment {
	l.retry = time.Time{}
	switch err := l.do(lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)); {
	case errors.Is(err, lifecycle.ErrBuildActive):
		return moment{}
	case err != nil:
		l.err = err
		return moment{}
	}
	l.queued()
	return moment{what: asked}
}

// report is one beat of somebody at work: activity in a workspace that runs, else a try to get it.
func (l *life) report() moment {
	if !l.present() {
		l.work = l.a.Work(l.now)
	}
	m := moment{}
	if l.now.Equal(l.work.Begin) {
		m.what = came
	}
	if l.beat = l.now.Add(l.a.Beat); !l.beat.Before(l.work.End) {
		l.beat = l.a.Work(l.work.End).Begin
	}
	if !l.ready() {
		l.wait()
		return m
	}
	if err := l.do(lifecycle.Used(l.now)); !errors.Is(err, lifecycle.ErrUnchanged) {
		l.err = err
	}
	return m
}
