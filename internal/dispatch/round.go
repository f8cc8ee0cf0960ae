package dispatch

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// spare is how many jobs a claim asks for beyond those it was told of. A slot that a claim is made for costs its secret and its place in
// the statement, and most messages are about one job, for which a hundred slots may wait. A claim that comes back full is followed by one
// for all slots that wait.
const spare = 8

// maxProbes bounds the lanes of one claim. Lanes beyond it stay dirty and are next.
const maxProbes = 64

// Round is one claim of one domain, from its preparation until its outcome is known.
type Round struct {
	// Token names the claim.
	Token uuid.UUID

	domain  *Domain
	waiters []*Waiter
	// secrets are what is handed out with the jobs, one for each waiter, and hashes what a store keeps of them.
	secrets []queue.Secret
	hashes  []queue.SecretHash
	lanes   []covered
	freed   uint64 // of the organization, at the beginning
}

// covered is a lane of a claim.
type covered struct {
	*lane
	seen   uint64 // the lane's mark at the beginning
	source Source
	cause  Cause
}

// Probe is a lane to claim from.
type Probe struct {
	Lane queue.Lane
	// From: the lane holds nothing ready below this order number.
	From int64
	// Oldest is when the first job of the lane was created; zero if that is not known.
	Oldest time.Time
}

// Drained is a lane that a claim found empty, with the message and the cause that led to the claim.
type Drained struct {
	Lane   queue.Lane
	Source Source
	Cause  Cause
}

// Award is a job for a waiter.
type Award struct {
	*Waiter
	// Job is one of those that the machine was given, in place: they are large, and many.
	Job *queue.Job
	// Moved: the claim was made for a worker that has left, so the store still names that one, and would refuse the new one.
	Moved bool
}

// Domain returns the domain that claims.
func (r *Round) Domain() *Domain { return r.domain }

// Workers are those to claim for, in order.
func (r *Round) Workers() []uuid.UUID {
	ids := make([]uuid.UUID, len(r.waiters))
	for i, w := range r.waiters {
		ids[i] = w.Worker
	}
	return ids
}

// Secrets are the hashes of what is handed out with the jobs, one for each worker.
func (r *Round) Secrets() []queue.SecretHash { return r.hashes }

// disclose puts into each job the secret that the store has the hash of: hardly ever another than that of its place.
func (r *Round) disclose(jobs []queue.Job) []queue.Job {
	for i := range jobs {
		at := i
		if i >= len(r.hashes) || r.hashes[i] != jobs[i].SecretHash {
			at = slices.Index(r.hashes, jobs[i].SecretHash)
		}
		if jobs[i].Secret = (queue.Secret{}); at >= 0 {
			jobs[i].Secret = r.secrets[at]
		}
	}
	return jobs
}

// Probes are the lanes to claim from, as of now.
func (r *Round) Probes() []Probe {
	probes := make([]Probe, len(r.lanes))
	for i, l := range r.lanes {
		probes[i] = Probe{l.Lane, l.from, l.oldest}
	}
	return probes
}

// Cause is how the process learned of what the claim is for; the fastest way counts.
func (r *Round) Cause() Cause {
	found := Poll
	for _, l := range r.lanes {
		switch l.cause {
		case Handoff:
			return Handoff
		case Notify:
			found = Notify
		}
	}
	return found
}

// Begin prepares a claim of up to so many jobs for a domain that [Hooks.Claim] named: of a few more than were announced, where all of
// them were counted. It returns nil if there is none to make any more: the waiters have left, or another claim has the lanes.
func (d *Dispatcher) Begin(domain *Domain, jobs int) *Round {
	lanes := domain.claimable()
	if domain.line.Len() == 0 || len(lanes) == 0 {
		domain.turnTo(idle)
		d.wakeAll(domain) // for other domains, which were passed over because this one was queued
		return nil
	}
	domain.turnTo(claiming)
	domain.joining = false
	r := &Round{domain: domain, Token: uuid.New(), freed: domain.org.freed}
	expected := spare
	for _, l := range lanes {
		expected += l.expected
		l.claimed, l.low, l.expected = true, math.MaxInt64, 0
		r.lanes = append(r.lanes, covered{l, l.posted, l.source, l.cause})
	}
	r.take(domain, min(jobs, domain.line.Len(), expected))
	return r
}

// PutOff notes that a queued claim has to wait for something other than its turn, for how long nobody knows. It stays queued, and no
// other domain is queued in its place, which would wait for the same; but other processes hear of what it was to claim. It lasts until
// [Dispatcher.Begin].
func (d *Dispatcher) PutOff(domain *Domain) {
	if domain.phase == queued {
		domain.putOff = true
		d.wakeAll(domain)
	}
}

// take claims for the first n in line.
func (r *Round) take(domain *Domain, n int) {
	r.waiters, r.secrets, r.hashes = make([]*Waiter, n), make([]queue.Secret, n), make([]queue.SecretHash, n)
	place := domain.line.Front()
	for i := range n {
		r.waiters[i], r.secrets[i] = place.Value.(*Waiter), queue.NewSecret()
		r.hashes[i] = r.secrets[i].Hash()
		place = place.Next()
	}
}

// claimable are the lanes to probe, those first that go first in line as far as is known.
func (d *Domain) claimable() []*lane {
	var lanes []*lane
	for _, l := range d.able {
		if l.dirty() && !l.claimed && !l.turn.Theirs() {
			lanes = append(lanes, l)
		}
	}
	if len(lanes) > maxProbes {
		slices.SortFunc(lanes, func(a, b *lane) int {
			return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.from, b.from))
		})
		lanes = lanes[:maxProbes]
	}
	return lanes
}

// Finish takes in the answer of a claim. It returns who gets what, the jobs left over because their waiters have left,
// and the lanes that are now known to be drained.
func (d *Dispatcher) Finish(r *Round, answer queue.Claimed) (awards []Award, rest []queue.Job, drained []Drained) {
	r.domain.failures = 0
	awards, rest = r.award(r.disclose(answer.Jobs))
	lanes := r.advance(answer)
	for _, l := range r.lanes {
		l.claimed = false
		l.unannounced = max(0, l.unannounced-lanes[l.Lane].jobs)
		switch {
		case len(answer.Jobs) == len(r.waiters), // there may be more
			answer.Limited && r.freed != r.domain.org.freed: // there may be more now
			l.expect(many)
		default:
			l.limited = answer.Limited
			l.clear(l.seen)
			drained = append(drained, Drained{l.Lane, l.source, l.cause})
		}
	}
	d.resume(r)
	return awards, rest, drained
}

// clear notes that the lane holds nothing that was posted up to a mark, but for what a limit stops.
func (l *lane) clear(seen uint64) {
	l.empty = max(l.empty, seen)
	if !l.dirty() && !l.limited {
		l.unannounced, l.expected, l.oldest = 0, 0, time.Time{}
	}
}

// advance raises the lanes' lower bounds behind what was claimed, unless something was passed over because of a limit. It
// counts the jobs by lane.
func (r *Round) advance(answer queue.Claimed) map[queue.Lane]claimedLane {
	lanes := byLane(answer.Jobs)
	for _, l := range r.lanes {
		if last := lanes[l.Lane].last; last != nil && !answer.Limited {
			l.from = min(max(l.from, last.Order), l.low)
			l.oldest = last.CreatedAt
		}
	}
	return lanes
}

// claimedLane is what a claim got from a lane.
type claimedLane struct {
	jobs int
	last *queue.Job
}

// byLane counts jobs by lane. Most follow another of the same lane, and a lane is long to look up.
func byLane(jobs []queue.Job) map[queue.Lane]claimedLane {
	lanes := make(map[queue.Lane]claimedLane)
	for begin := 0; begin < len(jobs); {
		lane, end := jobs[begin].Lane(), begin+1
		for end < len(jobs) && jobs[end].Lane() == lane {
			end++
		}
		lanes[lane] = claimedLane{lanes[lane].jobs + end - begin, &jobs[end-1]}
		begin = end
	}
	return lanes
}

// award gives each job to the waiter it was claimed for, and those of waiters who have left to the next in line.
func (r *Round) award(jobs []queue.Job) (awards []Award, rest []queue.Job) {
	awards = make([]Award, 0, len(jobs))
	for i := range jobs {
		if i < len(r.waiters) && r.waiters[i].place != nil && r.waiters[i].Worker == jobs[i].Worker {
			awards = append(awards, r.waiters[i].win(&jobs[i], false))
		} else {
			rest = append(rest, jobs[i])
		}
	}
	moved, rest := r.domain.Next(rest)
	return append(awards, moved...), rest
}

// Next gives jobs to the first in line, as far as somebody waits.
func (d *Domain) Next(jobs []queue.Job) (awards []Award, rest []queue.Job) {
	for i := range jobs {
		if d.line.Len() == 0 {
			return awards, jobs[i:]
		}
		awards = append(awards, d.first().win(&jobs[i], true))
	}
	return awards, nil
}

// win takes a waiter out of line who is about to get a job.
func (w *Waiter) win(job *queue.Job, moved bool) Award {
	w.domain.remove(w)
	return Award{w, job, moved}
}

// Fail notes that the outcome of a claim is unknown. [Dispatcher.Retry] has to follow after a pause; until then the lanes
// are open to others, of this process and elsewhere. Before its next claim the domain has to settle this one.
func (d *Dispatcher) Fail(r *Round) {
	r.domain.unsettled = r
	d.failed(r)
}

// Void is [Dispatcher.Fail] for a claim that has certainly got nothing, or nothing that counts.
func (d *Dispatcher) Void(r *Round) {
	r.domain.unsettled = nil
	d.failed(r)
}

func (d *Dispatcher) failed(r *Round) {
	r.domain.failures++
	for _, l := range r.lanes {
		l.claimed = false
		l.expect(many)
		d.wake(l.lane)
	}
}

// SettleFailed notes that it could not be found out what the domain's claim has got. [Dispatcher.Retry] has to follow
// after a pause.
func (d *Dispatcher) SettleFailed(domain *Domain) {
	domain.turnTo(claiming)
	domain.failures++
	d.wakeAll(domain) // what was posted while this one was queued
}

// Settle takes in what a claim turned out to have got, whose answer was lost. Its lanes stay dirty.
func (d *Dispatcher) Settle(r *Round, jobs []queue.Job) (awards []Award, rest []queue.Job) {
	awards, rest = r.match(r.disclose(jobs))
	r.domain.unsettled = nil
	d.resume(r)
	return awards, rest
}

// match is award for jobs in any order.
func (r *Round) match(jobs []queue.Job) (awards []Award, rest []queue.Job) {
	for k := range jobs {
		job := &jobs[k]
		i := slices.IndexFunc(r.waiters, func(w *Waiter) bool { return w.place != nil && w.Worker == job.Worker })
		if i < 0 {
			rest = append(rest, *job)
			continue
		}
		awards = append(awards, r.waiters[i].win(job, false))
	}
	moved, rest := r.domain.Next(rest)
	return append(awards, moved...), rest
}

// resume makes the domain free for its next claim, and sees to the rule for all that it held up.
func (d *Dispatcher) resume(r *Round) {
	r.domain.turnTo(idle)
	d.wakeAll(r.domain) // the round's lanes are among those that it can run
}

// Retry queues a domain again whose claim failed.
func (d *Dispatcher) Retry(domain *Domain) { d.enqueue(domain) }
