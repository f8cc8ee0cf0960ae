package acquirer

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

// dueCount is how far jobs are counted that turn ready: as many idle workers elsewhere are woken.
const dueCount = 100

// Enqueue stores jobs and announces them. It returns the jobs as stored, in the order of the postings.
//
// The error is a [*invalid.Error] if a posting is invalid, and none is stored then; any other error leaves the
// outcome open: repeat the call with the same IDs. A job must be announced after its commit; to enqueue in a
// transaction of your own, let the store write [queue.Posting.Job] there and call [Acquirer.Announce] afterwards.
func (a *Acquirer) Enqueue(ctx context.Context, postings ...queue.Posting) ([]queue.Job, error) {
	seen := make(map[uuid.UUID]bool, len(postings))
	for _, p := range postings {
		if err := p.Validate(); err != nil {
			return nil, err
		}
		if seen[p.ID] && p.ID != uuid.Nil {
			return nil, invalid.New("id", p.ID, "must not occur twice in one call")
		}
		seen[p.ID] = true
	}
	var jobs []queue.Job
	err := a.call(ctx, "enqueue", func(ctx context.Context) (err error) {
		jobs, err = a.store.Enqueue(ctx, a.now(), postings)
		return err
	})
	if err != nil {
		return nil, err
	}
	a.metrics.enqueued(jobs)
	a.Announce(jobs...)
	return jobs, nil
}

// Announce makes known that jobs were stored, for jobs that somebody else's commit stored: at once in this
// process, within [Config.Announce] in the others. Call it after the commit, never before: whoever asks too
// early finds nothing and is not woken again. It does not block; jobs that are not pending are passed over.
// Whatever is never announced is found by the backup.
func (a *Acquirer) Announce(jobs ...queue.Job) {
	type heap struct {
		from int64
		n    int
	}
	now := a.clock.Now()
	lanes := make(map[queue.Lane]heap, 1)
	defer a.flushLate()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, job := range jobs {
		if job.State != queue.Pending {
			continue
		}
		if job.ReadyAt.After(now) {
			a.dueAt(job.Organization, job.ReadyAt)
			continue
		}
		lane := job.Lane()
		h, known := lanes[lane]
		if !known || job.Order < h.from {
			h.from = job.Order
		}
		h.n++
		lanes[lane] = h
	}
	for lane, h := range lanes {
		a.hall.postHere(lane, h.from, h.n)
		a.consider(lane, h.n, now)
	}
}

// flushLate sends what is announced when Run has ended: by an enqueue that was under way, or by a worker that
// gives its job back. Nobody else does it any more.
func (a *Acquirer) flushLate() {
	a.mu.Lock()
	over := a.state == ended
	a.mu.Unlock()
	if over {
		_ = a.flushPosts(context.Background()) // else the backup of the others finds it
	}
}

// dueAt looks at an organization when its next job turns ready, here and for processes that have no reason to
// look. One entry for each organization is enough: each look says when the next is due. The caller holds the
// lock.
func (a *Acquirer) dueAt(id uuid.UUID, at time.Time) {
	planned, ok := a.due[id]
	if at.IsZero() || ok && !at.Before(planned) {
		return
	}
	a.due[id] = at
	a.agenda.after(a.clock.Until(at)+time.Microsecond, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.due[id].Equal(at) {
			delete(a.due, id)
			a.queueDue(id)
		}
	})
}

func (a *Acquirer) queueDue(id uuid.UUID) {
	a.queue.add(func(ctx context.Context) { a.turnReady(ctx, id) })
}

// turnReady lets the store turn ready what is due, and announces the lanes that hold something.
func (a *Acquirer) turnReady(ctx context.Context, id uuid.UUID) {
	again := func() { a.queueDue(id) }
	if !a.admit(again) {
		return
	}
	listing, err := a.ready(ctx, queue.ReadyQuery{Organizations: []uuid.UUID{id}, CountTo: dueCount})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.breaker.note(err == nil, a.cfg.Backoff, a.cfg.BackoffMax)
	if err != nil {
		a.agenda.after(a.breaker.wait(), again)
		return
	}
	for _, s := range listing.Lanes {
		a.hall.postHere(s.Lane, s.From, s.Count)
	}
	a.dueAt(id, listing.Next)
}

// tell is the hall's: other processes shall hear of jobs posted here. The caller holds the lock.
func (a *Acquirer) tell(l *laneState, jobs int) {
	if a.pubsub != nil {
		a.post.jobs(l.Lane, l.from, jobs)
	}
}

// tellTaken lets other processes know that what they left to us is taken. The caller holds the lock.
func (a *Acquirer) tellTaken(drained []covered) {
	if a.pubsub == nil {
		return
	}
	for _, lane := range drained {
		if lane.wake == wakeNotify && a.othersAble(lane.laneState) {
			a.post.taken(lane.Lane, lane.source)
		}
	}
}
