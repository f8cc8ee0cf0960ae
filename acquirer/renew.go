package acquirer

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Renew takes a report: the worker lives, and this is how far it is. It says whether somebody asked for the job's
// cancellation. A worker may report to any process that shares the store, for example when the one that gave
// it the job is gone; that process keeps the lease from then on.
//
// [queue.ErrLeaseLost] means that the worker must stop at once, a [*invalid.Error] that the report is bad and had no
// effect. Any other error leaves open whether the report arrived; repeating it may write its lines twice. Reports of many
// workers at once share their calls of the store.
func (a *Acquirer) Renew(ctx context.Context, r queue.Report) (canceled bool, err error) {
	if err := r.Validate(); err != nil {
		return false, err
	}
	answer, err := a.renewals.Do(ctx, r.Renewal(a.process(), a.now()))
	if err == nil {
		err = answer.Err
	}
	if errors.Is(err, queue.ErrLeaseLost) {
		a.drop(r.Lease, queue.ErrLeaseLost)
	}
	if err != nil {
		return false, err
	}
	if !a.heard(r, answer.Canceled) {
		err = a.adopt(ctx, r, answer.Canceled)
	}
	return answer.Canceled, err
}

// heard notes a sign of life; it is false if the lease is not kept here yet.
func (a *Acquirer) heard(r queue.Report, canceled bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.leases.heard(r.Lease, r.Silence, a.clock.Now())
	if h == nil {
		return false
	}
	if r.Silence > 0 {
		a.watchSilence(h)
	}
	if canceled {
		a.leases.cancel(r.Lease)
	}
	return true
}

// adopt begins to keep a lease that a worker brought along from another process.
func (a *Acquirer) adopt(ctx context.Context, r queue.Report, canceled bool) error {
	var jobs []queue.Job
	err := a.call(ctx, "find job", func(ctx context.Context) (err error) {
		jobs, err = a.store.Jobs(ctx, queue.Filter{IDs: []uuid.UUID{r.Lease.Job}})
		return err
	})
	if err != nil {
		return err
	}
	if len(jobs) == 0 || jobs[0].Lease() != r.Lease || jobs[0].State != queue.Running {
		return queue.ErrLeaseLost
	}
	a.mu.Lock()
	if _, ok := a.leases.held[r.Lease]; !ok && a.member.state != ended {
		a.hold(jobs[0], nil, r.Silence)
	}
	a.mu.Unlock()
	a.heard(r, canceled)
	return nil
}

// storeRenewals is what the batcher calls.
func (a *Acquirer) storeRenewals(renewals []queue.Renewal) ([]queue.Renewed, error) {
	return a.storeRenewalsIn(context.Background(), renewals)
}

func (a *Acquirer) storeRenewalsIn(ctx context.Context, renewals []queue.Renewal) (answers []queue.Renewed, err error) {
	err = a.call(ctx, "renew", func(ctx context.Context) error {
		answers, err = a.store.Renew(ctx, a.now(), renewals)
		return err
	})
	return answers, err
}
