package acquirer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/micros"
)

// watched is what the reporting process knows of ready lanes and of who could run them.
type watched struct {
	lanes map[queue.Lane]*watchedLane
	// since is when this process began to report. It says nothing in its first heartbeat: after a start of the
	// whole fleet, workers come later than jobs.
	since time.Time
}

type watchedLane struct {
	jobs int
	// unmatched is since when nobody could run it; zero while somebody can.
	unmatched time.Time
	reported  bool
	// epoch is the pulse as of which that was found out.
	epoch uint64
}

// observe takes in a listing of all lanes. The caller holds the lock.
func (a *Acquirer) observe(lanes []queue.ReadyLane) {
	next := make(map[queue.Lane]*watchedLane, len(lanes))
	for _, s := range lanes {
		w, ok := a.watched.lanes[s.Lane]
		if !ok {
			w = &watchedLane{}
		}
		w.jobs = s.Count
		next[s.Lane] = w
	}
	for lane, w := range a.watched.lanes {
		if _, ok := next[lane]; !ok {
			a.matched(lane, w, "nothing stands in it any more")
		}
	}
	a.watched.lanes = next
	a.match(a.clock.Now())
}

// consider takes in jobs just posted to a lane. The caller holds the lock.
func (a *Acquirer) consider(l queue.Lane, jobs int, now time.Time) {
	if a.state != running || !a.fleet.reporter(a.process) {
		return
	}
	w, ok := a.watched.lanes[l]
	if !ok {
		if a.ableNow(l) {
			return // the usual case: it will not stand there long
		}
		w = &watchedLane{}
		if a.watched.lanes == nil {
			a.watched.lanes = make(map[queue.Lane]*watchedLane)
		}
		a.watched.lanes[l] = w
	}
	w.jobs += jobs
	if !ok || w.epoch != a.fleet.epoch { // not for each posting anew
		a.matchLane(l, w, now)
	}
}

// match sees for all known lanes whether somebody can run them. The caller holds the lock.
func (a *Acquirer) match(now time.Time) {
	if a.state != running || !a.fleet.reporter(a.process) {
		a.watched = watched{}
		a.metrics.unmatched(0)
		return
	}
	if a.watched.since.IsZero() {
		a.watched.since = now
	}
	n := 0
	for lane, w := range a.watched.lanes {
		a.matchLane(lane, w, now)
		if !w.unmatched.IsZero() {
			n += w.jobs
		}
	}
	a.metrics.unmatched(n)
}

func (a *Acquirer) matchLane(l queue.Lane, w *watchedLane, now time.Time) {
	w.epoch = a.fleet.epoch
	if a.ableNow(l) {
		a.matched(l, w, "a worker can run it")
		return
	}
	if w.unmatched.IsZero() {
		w.unmatched = now
	}
	if w.reported || a.watched.since.IsZero() || now.Sub(a.watched.since) < a.cfg.Heartbeat {
		return
	}
	w.reported = true
	a.queueEvent(queue.Event{Kind: queue.EventUnmatched, At: micros.Of(now), Lane: l, Jobs: w.jobs, Reason: a.nearest(l).String()})
}

func (a *Acquirer) matched(l queue.Lane, w *watchedLane, reason string) {
	if w.reported {
		a.queueEvent(queue.Event{Kind: queue.EventMatched, At: a.now(), Lane: l, Jobs: w.jobs, Reason: reason})
	}
	w.unmatched, w.reported = time.Time{}, false
}

// ableNow reports whether a worker anywhere could run the jobs of a lane, busy ones included. The caller holds
// the lock.
func (a *Acquirer) ableNow(l queue.Lane) bool {
	if org, ok := a.hall.orgs[l.Organization]; ok && len(org.lane(l).able) > 0 {
		return true
	}
	for _, p := range a.fleet.processes {
		for _, crew := range p.Workers {
			if p.ID != a.process && crew.Domain.Runs(l) {
				return true
			}
		}
	}
	return false
}

// Nearest is the worker that comes closest to being able to run a job, and what keeps it from that.
type Nearest struct {
	// Found is false if the organization has no workers at all.
	Found  bool
	Domain queue.Domain
	// WrongType: the worker does not run jobs of this type.
	WrongType bool
	Mismatch  queue.Mismatch
}

// String says it in words.
func (n Nearest) String() string {
	switch {
	case !n.Found:
		return "the organization has no workers"
	case n.WrongType && n.Mismatch.None():
		return fmt.Sprintf("the nearest worker runs jobs of other types: %q", n.Domain.Types)
	case n.WrongType:
		return fmt.Sprintf("the nearest worker runs jobs of other types, %q, and %s", n.Domain.Types, n.Mismatch)
	}
	return "the nearest worker cannot run it: " + n.Mismatch.String()
}

// nearest prefers a worker of the type, then the one with the fewest tags in the way. The caller holds the
// lock.
func (a *Acquirer) nearest(l queue.Lane) Nearest {
	var best Nearest
	better := func(d queue.Domain) {
		if d.Organization != l.Organization {
			return
		}
		n := Nearest{Found: true, Domain: d, WrongType: !slices.Contains(d.Types, l.Type), Mismatch: queue.Compare(d.Tags, l.Tags)}
		if !best.Found || n.distance() < best.distance() {
			best = n
		}
	}
	if org, ok := a.hall.orgs[l.Organization]; ok {
		for _, d := range org.domains {
			better(d.Domain)
		}
	}
	for _, p := range a.fleet.processes {
		for _, crew := range p.Workers {
			better(crew.Domain)
		}
	}
	return best
}

func (n Nearest) distance() int {
	d := n.Mismatch.Distance()
	if n.WrongType {
		d += queue.MaxTags
	}
	return d
}

// expire fails the jobs that nobody could run for [Config.Expire].
func (a *Acquirer) expire(ctx context.Context) {
	if a.cfg.Expire == 0 {
		return
	}
	now := a.now()
	var lanes []queue.Lane
	a.mu.Lock()
	for lane, w := range a.watched.lanes {
		if !w.unmatched.IsZero() && now.Sub(w.unmatched) >= a.cfg.Expire {
			lanes = append(lanes, lane)
		}
	}
	a.mu.Unlock()
	for _, lane := range lanes {
		a.expireLane(ctx, lane, now.Add(-a.cfg.Expire))
	}
}

// expireLane gives up those of a lane that are old enough, unless a worker has come meanwhile.
func (a *Acquirer) expireLane(ctx context.Context, l queue.Lane, before time.Time) {
	a.mu.Lock()
	able, reason := a.ableNow(l), "nobody could run it: "+a.nearest(l).String()
	a.mu.Unlock()
	if able {
		return
	}
	var changed []queue.Job
	err := a.call(ctx, "expire", func(ctx context.Context) error {
		jobs, err := a.store.Jobs(ctx, queue.Filter{Lane: &l, CreatedBefore: before, Limit: a.cfg.Batch})
		if err != nil || len(jobs) == 0 {
			return err
		}
		changed, err = a.store.Cancel(ctx, queue.Cancellation{Now: a.now(), IDs: jobIDs(jobs), Reason: reason, Expire: true})
		return err
	})
	if err != nil {
		a.cfg.Logger.Warn("jobs not expired", "error", err)
		return
	}
	for _, job := range changed {
		a.metrics.reaped("pending_too_long")
		a.metrics.finished(job)
		a.emit(queue.Event{Kind: queue.EventExpired, At: a.now(), Lane: l, Job: job, Jobs: 1, Reason: reason})
	}
}

func jobIDs(jobs []queue.Job) []uuid.UUID {
	ids := make([]uuid.UUID, len(jobs))
	for i, job := range jobs {
		ids[i] = job.ID
	}
	return ids
}

// emit gives an event to the host, one at a time. The caller does not hold the lock.
func (a *Acquirer) emit(e queue.Event) {
	a.events.Lock()
	defer a.events.Unlock()
	a.cfg.Events(e)
}

// queueEvent is emit for a caller that holds the lock.
func (a *Acquirer) queueEvent(e queue.Event) {
	a.agenda.after(0, func() { a.emit(e) })
}
