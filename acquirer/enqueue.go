package acquirer

import (
	"context"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
	"github.com/dormouse-go/dormouse/invalid"
)

// Enqueue stores jobs and announces them. It returns the jobs as stored, in the order of the postings.
//
// The error is a [*invalid.Error] if a posting is invalid, and none is stored then. Types that are the library's own
// ([queue.Reserved]) are invalid here: who makes a build posts its job in the build's commit. A posting whose ID is that of
// another organization's, tenant's or type's job is invalid too; the others are stored then. Any other error leaves the
// outcome open: repeat the call with the same IDs. A job must be announced after its commit; to enqueue in a
// transaction of your own, see [Acquirer.EnqueueTx].
func (a *Acquirer) Enqueue(ctx context.Context, postings ...Posting) ([]Job, error) {
	if err := validatePostings(postings); err != nil {
		return nil, err
	}
	jobs, err := shared(ctx, a, oneOrganization(postings), "enqueue", func() ([]queue.Job, error) {
		return ask(ctx, a, "enqueue", func(ctx context.Context) ([]queue.Job, error) { return a.enqueue(ctx, postings) })
	})
	if err == nil {
		err = ownJobs(postings, jobs)
	}
	if err != nil {
		return nil, err
	}
	a.metrics.enqueued(jobs)
	a.Announce(jobs...)
	return jobs, nil
}

// oneOrganization is the organization of all postings, nil if there is none. Who posts for several at once is the operator.
func oneOrganization(postings []queue.Posting) (id *uuid.UUID) {
	for i := range postings {
		if id != nil && postings[i].Organization != *id {
			return nil
		}
		id = &postings[i].Organization
	}
	return id
}

func validatePostings(postings []queue.Posting) error {
	seen := make(map[uuid.UUID]bool, len(postings))
	for _, p := range postings {
		if err := p.Validate(); err != nil {
			return err
		}
		if queue.Reserved(p.Type) {
			return invalid.New("Posting.Type", p.Type, "must not be one of the library's own")
		}
		if seen[p.ID] && p.ID != uuid.Nil {
			return invalid.New("Posting.ID", p.ID, "must not occur twice in one call")
		}
		seen[p.ID] = true
	}
	return nil
}

// ownJobs sees to it that nobody reads somebody else's job by posting one of its id or unique key.
func ownJobs(postings []queue.Posting, jobs []queue.Job) error {
	for i, j := range jobs {
		p := postings[i]
		if j.Organization == p.Organization && j.Tenant == p.Tenant && j.Type == p.Type {
			continue
		}
		if j.ID == p.ID {
			return invalid.New("Posting.ID", p.ID, "must not be that of another job")
		}
		return invalid.New("Posting.Unique", p.Unique, "must not be that of another tenant's job")
	}
	return nil
}

// waits reports whether a job may have been stored with a time to wait for, come or not: it is ready once a look has turned
// it ready, and no earlier. One that was stored for at once is ready, also if that was by a clock ahead of ours.
func waits(job queue.Job) bool { return job.ReadyAt.After(job.CreatedAt) }

// posted is what one call announces of a lane. news are the jobs of which other processes have not heard.
type posted struct {
	lane       queue.Lane
	from       int64
	jobs, news int
}

// Announce makes known that jobs were stored, for jobs that somebody else's commit stored: at once in this
// process, within milliseconds in the others. Call it after the commit, never before: whoever asks too
// early finds nothing and is not woken again. It does not block, and it ignores jobs that are not pending.
// Whatever is never announced is found by the backup, within [Config.Backup].
func (a *Acquirer) Announce(jobs ...Job) {
	defer a.publishLate()
	lanes := a.readyLanes(jobs)
	now := a.clock.Now()
	inParts(a, lanes, func(p posted) uuid.UUID { return p.lane.Organization }, func(p posted) {
		a.dispatch.PostLocal(p.lane, p.from, p.news)
		a.consider(p.lane, p.jobs, now)
	})
}

// readyLanes are the lanes of jobs that can be claimed, each once.
func (a *Acquirer) readyLanes(jobs []Job) []posted {
	now := a.clock.Now()
	var lanes []posted
	places := make(map[queue.Lane]int, 1)
	for _, job := range jobs {
		if job.State != queue.Pending {
			continue
		}
		if waits(job) {
			a.mu.Lock()
			a.dueAt(job.ReadyAt, job.Organization)
			a.mu.Unlock()
			if job.ReadyAt.After(now) {
				continue
			}
			// Back in line at once, as a rule; or its time came while the store was answering, and the look finds it.
		}
		i, known := places[job.Lane()]
		if !known {
			i = len(lanes)
			places[job.Lane()], lanes = i, append(lanes, posted{lane: job.Lane(), from: job.Order})
		}
		lanes[i].from = min(lanes[i].from, job.Order)
		lanes[i].jobs++
		if !job.Announced {
			lanes[i].news++
		}
	}
	return lanes
}

// inParts does something under the lock for each of many lanes, and lets others have the lock in between.
func inParts[T any](a *Acquirer, lanes []T, organization func(T) uuid.UUID, do func(T)) {
	for len(lanes) > 0 {
		a.mu.Lock()
		n := dispatch.Part(len(lanes), func(i int) int {
			id := organization(lanes[i])
			return a.dispatch.Breadth(id) + a.fleet.breadth[id]
		})
		for _, l := range lanes[:n] {
			do(l)
		}
		lanes = lanes[n:]
		a.mu.Unlock()
	}
}

// found takes in the lanes of a listing that began at a mark; [dispatch.Dispatcher.Emptied] has to follow.
func (a *Acquirer) found(lanes []queue.ReadyLane, mark uint64, all bool) {
	inParts(a, lanes, organizationOf, func(l queue.ReadyLane) { a.dispatch.Found(l, mark, all) })
}

func organizationOf(l queue.ReadyLane) uuid.UUID { return l.Lane.Organization }

// publishLate sends what is announced when Run has ended: by an enqueue that was under way, or by a worker that
// gives its job back. Nobody else does it any more.
func (a *Acquirer) publishLate() {
	a.mu.Lock()
	over := a.member.state == ended
	a.mu.Unlock()
	if over {
		_ = a.publish(context.Background()) // else the backup of the others finds it
	}
}

// announce is the dispatcher's hook: other processes have to hear of jobs posted here. The caller holds the lock.
func (a *Acquirer) announce(l queue.Lane, from int64, jobs int) {
	if a.pubsub != nil {
		a.outgoing.jobs(l, from, jobs)
	}
}

// announceTaken lets other processes know that what they left to us is taken. The caller holds the lock.
func (a *Acquirer) announceTaken(drained []dispatch.Drained) {
	if a.pubsub == nil {
		return
	}
	for _, d := range drained {
		if d.Cause == dispatch.Notify && len(a.fleet.rivalsFor(d.Lane, a.member.process)) > 0 {
			a.outgoing.taken(d.Lane, d.Source)
		}
	}
}
