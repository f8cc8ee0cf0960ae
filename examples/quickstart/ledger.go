package main

import (
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// sampleEvery is how often the fleet is counted for the plots.
const sampleEvery = 15 * time.Minute

// ledger is what the replay counts.
type ledger struct {
	start, end  time.Time
	plans       []account
	transitions map[cause]*count
	// late counts the transitions by how late they were committed, in the bounds of lateBounds.
	late    [len(lateBounds) + 1]int
	latest  time.Duration
	samples []sample
	running []int // by plan
	// byHour sums up how many ran at each tick of an hour.
	byHour  []int
	present int
	// peak is the most that ran at once since it was last asked for.
	peak   int
	events map[lifecycle.EventKind]int // of notices
	marks  map[lifecycle.EventKind]int // of the audit log, those that are no builds
	ticks  ticks
}

// cause is a kind of build and its reason.
type cause struct {
	transition lifecycle.Transition
	reason     lifecycle.Reason
}

// count is how many builds there were of a cause, and how many failed.
type count struct{ builds, failed int }

// account is what is counted for each template.
type account struct {
	developers, sessions int
	// always is how long the workspaces would have run if nothing ever stopped them: from a developer's first session to
	// the end. ran is how long they did, used how much of that with their owner at work. All in hours: a fleet's half year
	// does not fit into a Duration.
	always, ran, used float64
	found             [foundKinds]int
	interrupted       int
	waited            time.Duration
}

// pain is how often somebody came to work while the workspace was stopped, asleep, broken or gone.
func (a *account) pain() int {
	return a.found[foundStopped] + a.found[foundBroken] + a.found[foundDormant] + a.found[foundDeleted]
}

// sample is the fleet at one instant.
type sample struct {
	running []int // by plan
	present int
}

// ticks sums up the statistics of all ticks.
type ticks struct {
	n, idle, evaluated, rearmed, marked, conflicts, skipped, errors int
}

// lateBounds are the upper bounds of the histogram of lateness.
var lateBounds = [...]time.Duration{
	0, 10 * time.Second, 20 * time.Second, 30 * time.Second, 40 * time.Second, 50 * time.Second, time.Minute, time.Hour, 3 * time.Hour, 12 * time.Hour,
}

func newLedger(plans int, start time.Time) *ledger {
	return &ledger{
		start: start, plans: make([]account, plans), running: make([]int, plans),
		transitions: map[cause]*count{}, events: map[lifecycle.EventKind]int{}, marks: map[lifecycle.EventKind]int{},
	}
}

// tick counts a tick.
func (l *ledger) tick(s executor.Stats) {
	t := &l.ticks
	t.n++
	if s.Evaluated == 0 {
		t.idle++
	}
	t.evaluated += s.Evaluated
	t.rearmed += s.Rearmed
	t.marked += s.Marked
	t.conflicts += s.Conflicts
	t.skipped += s.Count.Skipped
	t.errors += s.Count.Errors
}

// sample counts the fleet now and then.
func (l *ledger) sample(now time.Time) {
	l.end = now
	running := sum(l.running)
	l.peak = max(l.peak, running)
	hour := int(now.Sub(l.start).Hours())
	for len(l.byHour) <= hour {
		l.byHour = append(l.byHour, 0)
	}
	l.byHour[hour] += running
	if now.Sub(l.start)%sampleEvery == 0 {
		l.samples = append(l.samples, sample{append([]int(nil), l.running...), l.present})
	}
}

func sum(ns []int) int {
	total := 0
	for _, n := range ns {
		total += n
	}
	return total
}

func (l *ledger) arrived(d *developer, f found) {
	a := &l.plans[d.plan]
	a.sessions++
	a.found[f]++
	l.present++
}

// left ends a session. Who never got a workspace has waited to the end.
func (l *ledger) left(d *developer, now time.Time) {
	l.served(d, now)
	l.present--
	a := &l.plans[d.plan]
	a.used += now.Sub(d.sessions[d.next].begin).Hours()
}

// served ends a wait. Waiting is no use.
func (l *ledger) served(d *developer, now time.Time) {
	if d.waiting.IsZero() {
		return
	}
	a := &l.plans[d.plan]
	a.waited += now.Sub(d.waiting)
	a.used -= now.Sub(d.waiting).Hours()
	d.waiting = time.Time{}
}

func (l *ledger) turned(d *developer, up bool, now time.Time) {
	if up {
		l.running[d.plan]++
		return
	}
	l.running[d.plan]--
	l.plans[d.plan].ran += now.Sub(d.upSince).Hours()
}

// close counts what is still going on at the end.
func (l *ledger) close(r *replay) {
	for _, d := range r.developers {
		a := &l.plans[d.plan]
		if d.lives > 0 {
			a.developers++
			a.always += l.end.Sub(d.sessions[0].begin).Hours()
		}
		if d.up {
			a.ran += l.end.Sub(d.upSince).Hours()
		}
		if d.present {
			l.left(d, l.end)
		}
	}
}

// audit counts an entry of the audit log.
func (l *ledger) audit(e *lifecycle.Event) {
	c := l.cause(e)
	switch e.Kind {
	case lifecycle.EventBuildQueued:
		c.builds++
		if !e.DueAt.IsZero() {
			l.lateness(e.At.Sub(e.DueAt))
		}
	case lifecycle.EventBuildFailed:
		c.failed++
	case lifecycle.EventBuildSucceeded, lifecycle.EventBuildCanceled:
	default:
		l.marks[e.Kind]++
	}
}

func (l *ledger) cause(e *lifecycle.Event) *count {
	k := cause{e.Transition, e.Reason}
	if l.transitions[k] == nil {
		l.transitions[k] = new(count)
	}
	return l.transitions[k]
}

func (l *ledger) lateness(d time.Duration) {
	i := 0
	for i < len(lateBounds) && d > lateBounds[i] {
		i++
	}
	l.late[i]++
	l.latest = max(l.latest, d)
}
