package acquirer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/internal/text"
)

// unmatched is what the reporting process knows of ready lanes, and since when nobody could run them. It is empty in all
// other processes. Guarded by Acquirer.mu.
type unmatched struct {
	lanes map[queue.Lane]*watchedLane
	// names are the same lanes, as messages call them: each message asks, and anybody may send them.
	names map[laneName]struct{}
	// since is when this process began to report. It says nothing in its first heartbeat: after a start of the
	// whole fleet, workers come later than jobs.
	since time.Time
	// telling are events in the making, one for each kind and organization: people are not told of each lane by itself.
	telling map[toldOf]*queue.Event
	// toldAt is when people were last told of an organization.
	toldAt map[uuid.UUID]time.Time
}

// laneName is what messages call a lane.
type laneName struct {
	organization uuid.UUID
	digest       uint64
}

type toldOf struct {
	kind         queue.EventKind
	organization uuid.UUID
}

// tells adds a lane to an event in the making, and reports whether there is one.
func (u *unmatched) tells(kind queue.EventKind, organization uuid.UUID, jobs int) bool {
	e, ok := u.telling[toldOf{kind, organization}]
	if ok {
		e.Lanes++
		e.Jobs += jobs
	}
	return ok
}

func (u *unmatched) tell(e queue.Event) {
	if u.telling == nil {
		u.telling = make(map[toldOf]*queue.Event)
	}
	u.telling[toldOf{e.Kind, e.Lane.Organization}] = &e
}

// tellUnmatched gives the events in the making. The caller holds the lock.
func (a *Acquirer) tellUnmatched(now time.Time) {
	u := &a.unmatched
	if u.toldAt == nil {
		u.toldAt = make(map[uuid.UUID]time.Time)
	}
	for of, e := range u.telling {
		u.toldAt[of.organization] = now
		a.emit(*e)
	}
	u.telling = nil
	for id, at := range u.toldAt {
		if now.Sub(at) >= a.cfg.Heartbeat && len(u.toldAt) > 1000 {
			delete(u.toldAt, id)
		}
	}
}

type watchedLane struct {
	jobs int
	// name is what messages call it: it takes a hash, which is not computed for each listing anew.
	name laneName
	// since is since when nobody could run it; zero while somebody can.
	since    time.Time
	reported bool
	// epoch is the heartbeat as of which that was found out.
	epoch uint64
	// tried is the last of its jobs that was to be given up alone.
	tried uuid.UUID
}

// lane returns what is known of a lane, a new record if it is not watched yet.
func (u *unmatched) lane(l queue.Lane) *watchedLane {
	w, ok := u.lanes[l]
	if !ok {
		w = &watchedLane{name: laneName{l.Organization, l.Digest()}}
		u.watch(l, w)
	}
	return w
}

func (u *unmatched) watch(l queue.Lane, w *watchedLane) {
	if u.lanes == nil {
		u.lanes, u.names = make(map[queue.Lane]*watchedLane), make(map[laneName]struct{})
	}
	u.lanes[l] = w
	u.names[w.name] = struct{}{}
}

// knows reports whether a lane of this name is watched.
func (u *unmatched) knows(name laneName) bool {
	_, ok := u.names[name]
	return ok
}

// jobs is the number of jobs that nobody can run.
func (u *unmatched) jobs() (n int) {
	for _, w := range u.lanes {
		if !w.since.IsZero() {
			n += w.jobs
		}
	}
	return n
}

// longerThan are the lanes that nobody could run for so long.
func (u *unmatched) longerThan(d time.Duration, now time.Time) (lanes []queue.Lane) {
	for lane, w := range u.lanes {
		if !w.since.IsZero() && now.Sub(w.since) >= d {
			lanes = append(lanes, lane)
		}
	}
	return lanes
}

// observe takes in a listing of all lanes. The caller holds the lock.
func (a *Acquirer) observe(lanes []queue.ReadyLane) {
	before := a.unmatched.lanes
	a.unmatched.lanes, a.unmatched.names = nil, nil
	for _, l := range lanes {
		if known, ok := before[l.Lane]; ok {
			a.unmatched.watch(l.Lane, known)
		}
		a.unmatched.lane(l.Lane).jobs = l.Count
	}
	for lane, w := range before {
		if _, ok := a.unmatched.lanes[lane]; !ok {
			a.matched(lane, w, "nothing is in it any more")
		}
	}
	a.match(a.clock.Now())
}

// consider takes in jobs just posted to a lane. The caller holds the lock.
func (a *Acquirer) consider(l queue.Lane, jobs int, now time.Time) {
	if !a.reports() {
		return
	}
	_, known := a.unmatched.lanes[l]
	if !known && a.able(l) {
		return // the usual case: it will not wait there long
	}
	w := a.unmatched.lane(l)
	w.jobs += jobs
	if !known || w.epoch != a.fleet.epoch { // not for each posting anew
		if told, ok := a.unmatched.toldAt[l.Organization]; !ok || now.Sub(told) >= a.cfg.Heartbeat {
			a.matchLane(l, w, now)
			a.tellUnmatched(now)
		} // else the next heartbeat does it, with whatever comes until then
	}
}

// considerListed takes in lanes that a look has found and that are news: a message does not say what a lane is. The caller holds
// the lock.
func (a *Acquirer) considerListed(lanes []queue.ReadyLane) {
	for _, l := range lanes {
		if _, known := a.unmatched.lanes[l.Lane]; !known {
			a.consider(l.Lane, l.Count, a.clock.Now())
		}
	}
}

// match sees for all known lanes whether somebody can run them. The caller holds the lock.
func (a *Acquirer) match(now time.Time) {
	if !a.reports() {
		a.unmatched = unmatched{}
		a.metrics.unmatched(0)
		return
	}
	if a.unmatched.since.IsZero() {
		a.unmatched.since = now
	}
	for lane, w := range a.unmatched.lanes {
		a.matchLane(lane, w, now)
	}
	a.tellUnmatched(now)
	a.metrics.unmatched(a.unmatched.jobs())
}

func (a *Acquirer) matchLane(l queue.Lane, w *watchedLane, now time.Time) {
	w.epoch = a.fleet.epoch
	if a.able(l) {
		a.matched(l, w, "a worker can run it")
		return
	}
	if w.since.IsZero() {
		w.since = now
	}
	if w.reported || a.unmatched.since.IsZero() || now.Sub(a.unmatched.since) < a.cfg.Heartbeat {
		return
	}
	w.reported = true
	if !a.unmatched.tells(queue.EventUnmatched, l.Organization, w.jobs) {
		a.unmatched.tell(queue.Event{Kind: queue.EventUnmatched, At: micros.Of(now), Lane: l, Lanes: 1, Jobs: w.jobs, Reason: a.whyUnable(l)})
	}
}

func (a *Acquirer) matched(l queue.Lane, w *watchedLane, reason string) {
	if w.reported && !a.unmatched.tells(queue.EventMatched, l.Organization, w.jobs) {
		a.unmatched.tell(queue.Event{Kind: queue.EventMatched, At: a.now(), Lane: l, Lanes: 1, Jobs: w.jobs, Reason: reason})
	}
	w.since, w.reported = time.Time{}, false
}

// able reports whether a worker anywhere could run the jobs of a lane, busy ones included. The caller holds
// the lock.
func (a *Acquirer) able(l queue.Lane) bool {
	return a.dispatch.Able(l) || a.fleet.anyAble(l, a.member.process)
}

// nearEnough is how many domains are looked at for the reason why nobody can run a lane, where that is told for many lanes at
// a time.
const nearEnough = 100

// nearest is the domain that comes closest to being able to run a lane's jobs, of as many as are looked at, and what keeps it
// from that; nil if the organization has no workers. The caller holds the lock.
func (a *Acquirer) nearest(l queue.Lane, atMost int) (nearest *queue.Domain, why queue.Mismatch) {
	for d := range a.domainsOf(l.Organization) {
		if m := d.Mismatch(l); nearest == nil || m.Distance() < why.Distance() {
			nearest, why = &d, m
		}
		if atMost--; atMost == 0 {
			break
		}
	}
	return nearest, why
}

// domainsOf yields the domains of an organization, here and in the other processes. The caller holds the lock.
func (a *Acquirer) domainsOf(organization uuid.UUID) iter.Seq[queue.Domain] {
	return func(yield func(queue.Domain) bool) {
		for d := range a.dispatch.DomainsOf(organization) {
			if !yield(d.Domain) {
				return
			}
		}
		for _, p := range a.fleet.processes {
			for _, w := range p.Workers {
				if w.Domain.Organization == organization && !yield(w.Domain) {
					return
				}
			}
		}
	}
}

// whyUnable says why nobody can run a lane's jobs. The caller holds the lock.
func (a *Acquirer) whyUnable(l queue.Lane) string { return unableText(a.nearest(l, nearEnough)) }

func unableText(nearest *queue.Domain, why queue.Mismatch) string {
	if nearest == nil {
		return "the organization has no workers"
	}
	return text.OfNearest(why.String())
}

// expire fails the jobs that nobody could run for [Config.Expire].
func (a *Acquirer) expire(ctx context.Context) {
	if a.cfg.Expire == 0 {
		return
	}
	now := a.now()
	a.mu.Lock()
	lanes := a.unmatched.longerThan(a.cfg.Expire, now)
	a.mu.Unlock()
	for _, lane := range lanes {
		a.expireLane(ctx, lane, now.Add(-a.cfg.Expire))
	}
}

// expireLane fails those of a lane that are old enough, unless a worker has come meanwhile. What the store passes over, because
// somebody holds its row, is tried again the next time.
func (a *Acquirer) expireLane(ctx context.Context, l queue.Lane, before time.Time) {
	for ctx.Err() == nil {
		a.mu.Lock()
		able, reason := a.able(l), "nobody could run it: "+a.shortageOf(l).String() // it becomes the job's error, which its tenant reads
		a.mu.Unlock()
		if able {
			return
		}
		if more := a.expireSome(ctx, l, before, queue.CleanText(reason, queue.MaxErrorText)); !more {
			return
		}
	}
}

// expireSome fails as many as fit into a call, and reports whether there may be more.
func (a *Acquirer) expireSome(ctx context.Context, l queue.Lane, before time.Time, reason string) (more bool) {
	jobs, err := a.lookUp(ctx, "find jobs to expire", queue.Filter{Lane: &l, CreatedBefore: before, Limit: a.cfg.Batch})
	var changed []queue.Job
	if len(jobs) > 0 {
		changed, err = a.expireJobs(ctx, l, jobIDs(jobs), reason)
	}
	if err != nil {
		a.cfg.Logger.Warn("jobs not expired", "error", err)
	}
	for _, job := range changed {
		a.metrics.reaped("pending_too_long")
		a.metrics.finished(job)
		a.emit(queue.Event{Kind: queue.EventExpired, At: a.now(), Lane: l, Job: job, Jobs: 1, Reason: reason})
	}
	return len(jobs) == a.cfg.Batch && len(changed) > 0
}

// maxFailedExpiries is how many jobs in a row may fail to be given up until the rest is left for the next time.
const maxFailedExpiries = 3

// expireJobs gives up jobs of a lane: all in one call, or where that takes too long each alone. What could not be given up is in the
// error.
func (a *Acquirer) expireJobs(ctx context.Context, l queue.Lane, ids []uuid.UUID, reason string) ([]queue.Job, error) {
	changed, err := a.expireIn(ctx, ids, reason)
	if len(ids) == 1 || !errors.Is(err, errTooLong) {
		return changed, err
	}
	// It begins behind the last one of the time before: else the same few would stand before the rest each time.
	var last uuid.UUID
	a.withWatched(l, func(w *watchedLane) { last = w.tried })
	begin := slices.Index(ids, last) + 1
	var errs []error
	for i, failed := 0, 0; i < len(ids) && failed < maxFailedExpiries; i++ {
		last = ids[(begin+i)%len(ids)]
		one, err := a.expireIn(ctx, []uuid.UUID{last}, reason)
		changed = append(changed, one...)
		if failed++; err == nil {
			failed = 0
			continue
		}
		errs = append(errs, fmt.Errorf("job %s: %w", last, err))
	}
	a.withWatched(l, func(w *watchedLane) { w.tried = last })
	return changed, errors.Join(errs...)
}

// withWatched calls f with what is known of a lane, if it is watched still.
func (a *Acquirer) withWatched(l queue.Lane, f func(*watchedLane)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w, ok := a.unmatched.lanes[l]; ok {
		f(w)
	}
}

// expireIn gives up jobs in one call.
func (a *Acquirer) expireIn(ctx context.Context, ids []uuid.UUID, reason string) ([]queue.Job, error) {
	return ask(ctx, a, "expire", func(ctx context.Context) ([]queue.Job, error) {
		return a.store.Cancel(ctx, queue.Cancellation{Now: a.now(), IDs: ids, Reason: reason, Expire: true})
	})
}

func jobIDs(jobs []queue.Job) []uuid.UUID {
	ids := make([]uuid.UUID, len(jobs))
	for i, job := range jobs {
		ids[i] = job.ID
	}
	return ids
}
