package acquirer

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/leases"
	"github.com/dormouse-go/dormouse/invalid"
)

// End ends an attempt and returns the job as it is then. While the store fails, End tries again until ctx
// ends: a result is too dear to be lost to a bad moment. The job is an outline: whoever ends it has its payload.
// [queue.ErrLeaseLost] means that the attempt was over already, or never that of the one who asks, and this end has no
// effect; a [*invalid.Error] that the end breaks a rule, so that no repetition helps.
//
// Ends from many workers at once share their calls of the store.
func (a *Acquirer) End(ctx context.Context, e End) (Job, error) {
	if err := ofWorker(e); err != nil {
		return Job{}, err
	}
	e = e.Normalize(a.clock.Now())
	call, err := a.beginEnd(ctx, e.Handout)
	if err != nil {
		return Job{}, err
	}
	for failures := 0; ; failures++ {
		answer, err := a.ends.Do(ctx, e)
		if err == nil {
			err = answer.Err
		}
		switch {
		case err == nil:
			a.endedHere(call, answer)
			return answer.Job, nil
		case queue.IsAnswer(err):
			a.mu.Lock()
			a.left(queue.ErrLeaseLost, a.book.Over(call))
			a.mu.Unlock()
			a.linger(ctx, e.Organization, "end")
			return Job{}, err
		case ctx.Err() != nil || !a.pause(ctx, growing(failures), "end"):
			a.mu.Lock()
			a.book.GiveUp(call, "its end could not be stored", a.clock.Now())
			a.watchBook()
			a.mu.Unlock()
			return Job{}, errors.Join(err, ctx.Err())
		}
	}
}

// ofWorker says whether a worker may end a job so.
func ofWorker(e End) error {
	if err := e.Validate(); err != nil {
		return err
	}
	if e.Process != uuid.Nil {
		return invalid.New("End.Process", e.Process, "must not be set: only this process judges by the lease alone")
	}
	return nil
}

// beginEnd enters an end in the book. While a verdict is being stored it waits; the store's answer to the verdict decides.
func (a *Acquirer) beginEnd(ctx context.Context, h queue.Handout) (leases.Call, error) {
	for failures := 0; ; failures++ {
		a.mu.Lock()
		call, err := a.enterEnd(h, a.clock.Now())
		a.mu.Unlock()
		if err == nil || queue.IsAnswer(err) {
			return call, err
		}
		if !a.pause(ctx, growing(failures), "end") {
			return leases.Call{}, errors.Join(err, ctx.Err())
		}
	}
}

// enterEnd enters an end in the book: as long as it is under way nobody doubts its worker. The caller holds the lock.
func (a *Acquirer) enterEnd(h queue.Handout, now time.Time) (leases.Call, error) {
	if e := a.book.Find(h.Lease); e != nil && !h.Of(&e.Job) {
		return leases.Call{}, queue.ErrLeaseLost // word for word what the store says of a job that is not there
	}
	return a.book.End(h.Lease, now)
}

// Cancel asks for jobs to be canceled. Pending ones are canceled at once, running ones are asked to stop,
// wherever they run: their contexts end (see [Acquirer.Watch]), and their reports are answered so. It returns the jobs that changed.
func (a *Acquirer) Cancel(ctx context.Context, reason string, ids ...uuid.UUID) ([]Job, error) {
	return a.cancel(ctx, reason, nil, ids)
}

func (a *Acquirer) cancel(ctx context.Context, reason string, organization *uuid.UUID, ids []uuid.UUID) ([]Job, error) {
	changed, err := ask(ctx, a, "cancel", func(ctx context.Context) ([]queue.Job, error) {
		return a.store.Cancel(ctx, queue.Cancellation{
			Now: a.now(), IDs: distinct(ids), Reason: queue.CleanText(reason, queue.MaxErrorText), Organization: organization,
		})
	})
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, job := range changed {
		if job.State != queue.Running {
			a.metrics.finished(job)
			continue
		}
		a.canceled(job.Lease())
		if a.pubsub != nil && job.Process != a.member.process {
			a.outgoing.canceled(job.Lease())
		}
	}
	return changed, nil
}

func distinct(ids []uuid.UUID) []uuid.UUID {
	seen := make(map[uuid.UUID]bool, len(ids))
	var list []uuid.UUID
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			list = append(list, id)
		}
	}
	return list
}

func (a *Acquirer) storeEnds(ctx context.Context, ends []queue.End) (answers []queue.Ended, err error) {
	begun := a.clock.Now()
	answers, err = ask(ctx, a, "end", func(ctx context.Context) ([]queue.Ended, error) { return a.store.End(ctx, a.now(), ends) })
	a.spendOnRefused(ends, answers, a.clock.Since(begun))
	return answers, err
}

// spendOnRefused counts the ends of a call that were refused to their organizations. What the others take is the work itself, and what
// the process ends for no worker says of none.
func (a *Acquirer) spendOnRefused(ends []queue.End, answers []queue.Ended, took time.Duration) {
	for i, answer := range answers {
		if answer.Err != nil && ends[i].Process == uuid.Nil {
			a.shares.Spend(ends[i].Organization, took/time.Duration(len(ends)))
		}
	}
}

// endedHere counts an end of this process's and does what follows from it.
func (a *Acquirer) endedHere(call leases.Call, answer queue.Ended) {
	a.mu.Lock()
	started := a.leaveBook(call)
	a.mu.Unlock()
	a.follow(answer.Job, started)
}

// leaveBook takes a lease whose end is stored out of the book, and returns when its attempt began. The caller holds the lock.
func (a *Acquirer) leaveBook(call leases.Call) (started time.Time) {
	e := a.book.Over(call)
	if e == nil {
		return time.Time{}
	}
	a.left(nil, e)
	return e.Job.StartedAt
}

// follow does what follows from an end of this process's.
func (a *Acquirer) follow(job queue.Job, started time.Time) {
	if job.State.Final() {
		a.metrics.ran(job, started)
	}
	a.afterEnd(job)
}

// afterEnd makes known what an end has changed for those who wait: the job itself if it is pending again, and
// a limit that may have been lifted.
func (a *Acquirer) afterEnd(job queue.Job) {
	if !a.cfg.Limits.None() || len(a.cfg.Reserves) > 0 {
		a.mu.Lock()
		a.dispatch.Freed(job.Organization)
		if a.pubsub != nil {
			a.outgoing.freed(job.Organization)
		}
		a.mu.Unlock()
	}
	if job.State == queue.Pending {
		a.Announce(job)
	}
}
