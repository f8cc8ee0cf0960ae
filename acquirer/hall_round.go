package acquirer

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/google/uuid"
)

// maxProbes bounds the lanes of one claim. Lanes beyond it stay dirty and are next.
const maxProbes = 64

// round is one claim of one domain, from its preparation until its outcome is known.
type round struct {
	domain  *domain
	token   uuid.UUID
	waiters []*waiter
	lanes   []covered
	freed   uint64 // of the organization, at the beginning
}

// covered is a lane of a claim.
type covered struct {
	*laneState
	seen   uint64 // the lane's mark at the beginning
	source source
	wake   wakeCause
}

// begin prepares the claim of a queued domain, or returns nil if there is none to make any more: the waiters
// have gone, or another claim has the lanes.
func (h *hall) begin(d *domain, batch int) *round {
	lanes := d.claimable()
	if d.line.Len() == 0 || len(lanes) == 0 {
		d.turnTo(idle)
		d.wakeAll(h) // for other domains, which were passed over because this one was queued
		return nil
	}
	d.turnTo(claiming)
	r := &round{domain: d, token: uuid.New(), freed: d.org.freed}
	for place := d.line.Front(); place != nil && len(r.waiters) < batch; place = place.Next() {
		r.waiters = append(r.waiters, place.Value.(*waiter))
	}
	for _, lane := range lanes {
		lane.busy, lane.low = true, math.MaxInt64
		r.lanes = append(r.lanes, covered{lane, lane.posted, lane.source, lane.wake})
	}
	return r
}

// claimable are the lanes to probe, those first that go first in line as far as is known.
func (d *domain) claimable() []*laneState {
	var lanes []*laneState
	for _, lane := range d.able {
		if lane.dirty() && !lane.busy && !lane.turn.theirs {
			lanes = append(lanes, lane)
		}
	}
	if len(lanes) > maxProbes {
		slices.SortFunc(lanes, func(a, b *laneState) int {
			return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.from, b.from))
		})
		lanes = lanes[:maxProbes]
	}
	return lanes
}

// award is a job for a waiter.
type award struct {
	*waiter
	job queue.Job
	// moved: the claim was made for a worker that has gone.
	moved bool
}

// finish takes in the answer of a claim. It returns who gets what, the jobs left over because their waiters
// have gone, and the lanes that are now known to be drained.
func (h *hall) finish(r *round, answer queue.Claimed) (awards []award, rest []queue.Job, drained []covered) {
	r.domain.failures = 0
	awards, rest = r.award(answer.Jobs)
	counts := r.advance(answer)
	for _, lane := range r.lanes {
		lane.busy = false
		lane.owed = max(0, lane.owed-counts[lane.Lane])
		switch {
		case len(answer.Jobs) == len(r.waiters): // there may be more
		case answer.Limited && r.freed != r.domain.org.freed: // there may be more now
		default:
			lane.limited = answer.Limited
			lane.clear(lane.seen)
			drained = append(drained, lane)
		}
	}
	h.resume(r)
	return awards, rest, drained
}

// clear notes that nothing stands in the lane that was posted up to a mark, but for what a limit stops.
func (l *laneState) clear(seen uint64) {
	l.empty = max(l.empty, seen)
	if !l.dirty() && !l.limited {
		l.owed, l.oldest = 0, time.Time{}
	}
}

// advance raises the lanes' lower bounds behind what was claimed, unless something was passed over because of
// a limit. It counts the jobs by lane.
func (r *round) advance(answer queue.Claimed) map[queue.Lane]int {
	counts := make(map[queue.Lane]int, len(r.lanes))
	last := make(map[queue.Lane]queue.Job, len(r.lanes))
	for _, job := range answer.Jobs {
		counts[job.Lane()]++
		last[job.Lane()] = job
	}
	for _, lane := range r.lanes {
		if job, ok := last[lane.Lane]; ok && !answer.Limited {
			lane.from = min(max(lane.from, job.Order), lane.low)
			lane.oldest = job.CreatedAt
		}
	}
	return counts
}

// award gives each job to the waiter it was claimed for, and those of waiters who have gone to the next in
// line.
func (r *round) award(jobs []queue.Job) (awards []award, rest []queue.Job) {
	for i, job := range jobs {
		if i < len(r.waiters) && r.waiters[i].place != nil && r.waiters[i].worker == job.Worker {
			awards = append(awards, award{r.waiters[i], job, false})
			r.waiters[i].served()
		} else {
			rest = append(rest, job)
		}
	}
	moved, rest := r.domain.next(rest)
	return append(awards, moved...), rest
}

// next gives jobs to the first in line, as far as somebody waits.
func (d *domain) next(jobs []queue.Job) (awards []award, rest []queue.Job) {
	for i, job := range jobs {
		if d.line.Len() == 0 {
			return awards, jobs[i:]
		}
		w := d.first()
		awards = append(awards, award{w, job, true})
		w.served()
	}
	return awards, nil
}

// served takes a waiter out of line who is about to get a job.
func (w *waiter) served() {
	w.domain.remove(w)
}

// fail notes that the outcome of a claim is unknown. Its domain tries again after a pause; until then its
// lanes are open to others, of this process and elsewhere.
func (h *hall) fail(r *round) {
	r.domain.failures++
	r.domain.unsettled = r
	for _, lane := range r.lanes {
		lane.busy = false
		h.wake(lane.laneState)
	}
}

// settle takes in what a claim turned out to have got, whose answer was lost. Its lanes stay dirty.
func (h *hall) settle(r *round, jobs []queue.Job) (awards []award, rest []queue.Job) {
	awards, rest = r.settled(jobs)
	r.domain.unsettled = nil
	h.resume(r)
	return awards, rest
}

// settled is award for jobs in any order.
func (r *round) settled(jobs []queue.Job) (awards []award, rest []queue.Job) {
	for _, job := range jobs {
		i := slices.IndexFunc(r.waiters, func(w *waiter) bool { return w.place != nil && w.worker == job.Worker })
		if i < 0 {
			rest = append(rest, job)
			continue
		}
		awards = append(awards, award{r.waiters[i], job, false})
		r.waiters[i].served()
	}
	moved, rest := r.domain.next(rest)
	return append(awards, moved...), rest
}

// resume makes the domain free for its next claim, and sees to the rule for all that it held up.
func (h *hall) resume(r *round) {
	r.domain.turnTo(idle)
	r.domain.wakeAll(h)
	for _, lane := range r.lanes {
		h.wake(lane.laneState)
	}
}

// retry queues a domain again whose claim failed.
func (h *hall) retry(d *domain) {
	d.turnTo(queued)
	h.start(d)
}

// listed takes in a listing of organizations that began at the given mark; nil means all. Lanes that it names
// are dirty, others are empty as far as they were posted before. Lanes that a limit stops are left alone
// unless all is set: a limit whose end nobody announced is found by the backup.
func (h *hall) listed(organizations []uuid.UUID, mark uint64, lanes []queue.ReadyLane, all bool) {
	named := make(map[queue.Lane]bool, len(lanes))
	for _, s := range lanes {
		named[s.Lane] = true
		org, ok := h.orgs[s.Lane.Organization]
		if !ok {
			continue
		}
		lane := org.lane(s.Lane)
		lane.oldest = s.Oldest
		if !lane.busy {
			lane.from = min(s.From, lane.lowSince(mark))
		}
		if !lane.limited || all {
			lane.limited, lane.turn.theirs = false, false
			h.soil(lane, wakePoll)
		}
	}
	for _, org := range h.wanted(organizations) {
		for key, lane := range org.lanes {
			if !named[key] && !lane.busy {
				lane.limited = false
				lane.clear(mark)
			}
		}
	}
}

// lowSince is the lowest order number known to have been posted after a mark: none if nothing was.
func (l *laneState) lowSince(mark uint64) int64 {
	if l.posted > mark {
		return l.from
	}
	return math.MaxInt64
}

func (h *hall) wanted(organizations []uuid.UUID) []*orgState {
	var orgs []*orgState
	if organizations == nil {
		for _, org := range h.orgs {
			orgs = append(orgs, org)
		}
	}
	for _, id := range organizations {
		if org, ok := h.orgs[id]; ok {
			orgs = append(orgs, org)
		}
	}
	return orgs
}

// sweep forgets domains that nobody has waited in since before, and organizations without any.
func (h *hall) sweep(before time.Time) {
	for id, org := range h.orgs {
		for key, d := range org.domains {
			if d.line.Len() == 0 && d.phase == idle && d.busy == 0 && d.quietSince.Before(before) {
				delete(org.domains, key)
				for _, lane := range d.able {
					lane.able = without(lane.able, d)
				}
			}
		}
		if len(org.domains) == 0 && !org.asked {
			delete(h.orgs, id)
		}
	}
}

// forgetLanes drops lanes known to be empty.
func (o *orgState) forgetLanes() {
	for key, lane := range o.lanes {
		if !lane.dirty() && !lane.busy && !lane.limited {
			delete(o.lanes, key)
			for _, d := range lane.able {
				d.able = without(d.able, lane)
			}
		}
	}
}

func without[T comparable](list []T, item T) []T {
	return slices.DeleteFunc(list, func(x T) bool { return x == item })
}
