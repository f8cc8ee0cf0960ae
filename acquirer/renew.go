package acquirer

import (
	"context"
	"errors"
	"fmt"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/leases"
)

// errUnregistered is passing: the process has to register anew before it can take over a lease.
var errUnregistered = errors.New("acquirer: the process is not registered; report again")

// Renew takes a report: the worker lives, and this is how far it is. It says whether somebody asked for the job's
// cancellation. A worker may report to any process that shares the store, for example when the one that gave
// it the job is gone; that process keeps the lease from then on. A process that is not registered yet lets the report wait.
//
// [queue.ErrLeaseLost] means that the worker must stop at once, a [*invalid.Error] that the report is bad and had no
// effect. Any other error leaves open whether the report arrived; repeating it may write its lines twice. Reports of many
// workers at once share their calls of the store.
func (a *Acquirer) Renew(ctx context.Context, r queue.Report) (canceled bool, err error) {
	if err := r.Validate(); err != nil {
		return false, err
	}
	if err := a.awaitRegistered(ctx); err != nil {
		return false, err
	}
	a.mu.Lock()
	renewal := r.Renewal(a.member.process, a.now())
	call, err := a.book.Report(r.Lease, renewal.Process, r.Silence, a.clock.Now())
	if err == nil && len(renewal.Lines) > 0 {
		renewal.Lines = holdingOf(a.book.Find(r.Lease)).admit(renewal.Lines, a.cfg.MaxLog, a.now())
	}
	a.watchBook()
	a.mu.Unlock()
	if err != nil {
		return false, fmt.Errorf("acquirer: renew: %w", err)
	}
	answer, err := a.renewals.Do(ctx, renewal)
	if err == nil {
		err = answer.Err
	}
	lookUp, err := a.renewed(call, renewal, answer.Canceled, err)
	if err != nil {
		return false, err
	}
	if lookUp {
		a.lookUp(ctx, r.Lease)
	}
	return answer.Canceled, nil
}

// renewed takes in the answer to a report. It says whether the job has to be looked up.
func (a *Acquirer) renewed(call leases.Call, r queue.Renewal, canceled bool, err error) (lookUp bool, _ error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.watchBook()
	now := a.clock.Now()
	switch {
	case errors.Is(err, queue.ErrLeaseLost):
		a.left(queue.ErrLeaseLost, a.book.Over(call))
		return false, err
	case errors.Is(err, queue.ErrProcessLost):
		a.book.Refused(call, now)
		a.lost(r.Process)
		return false, errUnregistered
	case err != nil:
		a.book.Unknown(call, now)
		return false, err
	}
	_, lookUp = a.book.Renewed(call, r.Process, now)
	if canceled {
		a.canceled(r.Lease)
	}
	return lookUp, nil
}

// lookUp completes a lease that a worker brought along from another process. If that fails, it is looked up when there is
// a doubt about it.
func (a *Acquirer) lookUp(ctx context.Context, lease queue.Lease) {
	job, err := a.findJob(ctx, lease.Job)
	if err != nil || job.Lease() != lease {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.book.Name(job)
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
