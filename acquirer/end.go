package acquirer

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/micros"
)

// End ends an attempt and returns the job as it is then. While the store fails, End tries again until ctx
// ends: a result is too dear to be lost to a bad moment. [queue.ErrLeaseLost] means that the attempt was over
// already and this end has no effect.
//
// Ends from many workers at once share their calls of the store.
func (a *Acquirer) End(ctx context.Context, e queue.End) (queue.Job, error) {
	if err := e.Validate(); err != nil {
		return queue.Job{}, err
	}
	if e.Delay > 0 {
		e.ReadyAt, e.Delay = a.clock.Now().Add(e.Delay), 0
	}
	e.Error, e.ReadyAt = queue.CleanText(e.Error, queue.MaxErrorText), micros.Of(e.ReadyAt)
	for failures := 0; ; failures++ {
		answer, err := a.ends.call(ctx, e)
		if err == nil {
			err = answer.Err
		}
		switch {
		case err == nil:
			a.endedHere(e, answer)
			return answer.Job, nil
		case queue.IsAnswer(err):
			a.mu.Lock()
			a.drop(e.Lease, queue.ErrLeaseLost)
			a.mu.Unlock()
			return queue.Job{}, err
		case ctx.Err() != nil || !a.pause(ctx, backoff.Doubled(a.cfg.Backoff, failures, a.cfg.BackoffMax), "end"):
			return queue.Job{}, errors.Join(err, ctx.Err())
		}
	}
}

// Complete ends a job that was done.
func (a *Acquirer) Complete(ctx context.Context, lease queue.Lease, result []byte) (queue.Job, error) {
	return a.End(ctx, queue.End{Lease: lease, Outcome: queue.OutcomeSucceeded, Result: result})
}

// Fail ends a job that could not be done.
func (a *Acquirer) Fail(ctx context.Context, lease queue.Lease, reason string) (queue.Job, error) {
	return a.End(ctx, queue.End{Lease: lease, Outcome: queue.OutcomeFailed, Error: reason})
}

// Requeue ends the attempt and puts the job back into line, in front, after a delay.
func (a *Acquirer) Requeue(ctx context.Context, lease queue.Lease, delay time.Duration, reason string) (queue.Job, error) {
	return a.End(ctx, queue.End{Lease: lease, Outcome: queue.OutcomeRequeued, Error: reason, Delay: delay})
}

// Release gives a job back as if it had never been handed out.
func (a *Acquirer) Release(ctx context.Context, lease queue.Lease) (queue.Job, error) {
	return a.End(ctx, queue.End{Lease: lease, Outcome: queue.OutcomeReleased})
}

// Cancel asks for jobs to be canceled. Pending ones are canceled at once, running ones are told, wherever they
// run: their contexts end (see [Acquirer.Watch]) and reports answer so. It returns the jobs that changed.
func (a *Acquirer) Cancel(ctx context.Context, reason string, ids ...uuid.UUID) ([]queue.Job, error) {
	var changed []queue.Job
	err := a.call(ctx, "cancel", func(ctx context.Context) (err error) {
		changed, err = a.store.Cancel(ctx, queue.Cancellation{Now: a.now(), IDs: distinct(ids), Reason: queue.CleanText(reason, queue.MaxErrorText)})
		return err
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
		if a.pubsub != nil && job.Process != a.process {
			a.post.canceled(job.Lease())
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

// storeEnds is the batcher's.
func (a *Acquirer) storeEnds(ends []queue.End) ([]queue.Ended, error) {
	return a.storeEndsIn(context.Background(), ends)
}

func (a *Acquirer) storeEndsIn(ctx context.Context, ends []queue.End) (answers []queue.Ended, err error) {
	err = a.call(ctx, "end", func(ctx context.Context) error {
		answers, err = a.store.End(ctx, a.now(), ends)
		return err
	})
	return answers, err
}

// endedHere counts an end of this process's and does what follows from it.
func (a *Acquirer) endedHere(e queue.End, answer queue.Ended) {
	a.mu.Lock()
	h := a.drop(e.Lease, nil)
	a.mu.Unlock()
	started := time.Time{}
	if h != nil {
		started = h.job.StartedAt
	}
	if answer.Job.State.Final() {
		a.metrics.ran(answer.Job, started)
	}
	a.afterEnd(answer.Job)
}

// afterEnd makes known what an end has changed for those who wait: the job itself if it is pending again, and
// a limit that may have been lifted.
func (a *Acquirer) afterEnd(job queue.Job) {
	a.mu.Lock()
	if a.limited() {
		a.hall.free(job.Organization)
		if a.pubsub != nil {
			a.post.free(job.Organization)
		}
	}
	a.mu.Unlock()
	a.Announce(job)
}

func (a *Acquirer) limited() bool { return !a.cfg.Limits.None() || len(a.cfg.Reserves) > 0 }
