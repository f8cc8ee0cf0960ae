package acquirer

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/leases"
	"github.com/dormouse-go/dormouse/internal/text"
)

// errUnregistered is passing: the process has to register anew before it can take over a lease.
var errUnregistered = errors.New("acquirer: the process is not registered; report again")

// Renew takes a report: the worker lives, and this is how far it is. It says whether somebody asked for the job's
// cancellation. A worker may report to any process that shares the store, for example when the one that gave
// it the job is gone; that process keeps the lease from then on. A process that is not registered yet lets the report wait.
//
// [queue.ErrTimeout] means that the report has arrived, and that the run has reached its limit: the worker is to stop and to
// end the job. [queue.ErrLeaseLost] means that the worker must stop at once, a [*invalid.Error] that the report is bad and had no
// effect. Any other error leaves open whether the report arrived; repeating it may write its lines twice. Reports of many
// workers at once share their calls of the store.
func (a *Acquirer) Renew(ctx context.Context, r queue.Report) (canceled bool, err error) {
	if err := r.Validate(); err != nil {
		return false, err
	}
	if err := a.awaitRegistered(ctx); err != nil {
		return false, err
	}
	job, err := a.prove(ctx, r.Handout)
	if err != nil {
		a.linger(ctx, r.Organization, "renew")
		return false, fmt.Errorf("acquirer: renew: %w", err)
	}
	call, process, dropped, err := a.report(job, &r)
	if err != nil {
		return false, fmt.Errorf("acquirer: renew: %w", err)
	}
	// A megabyte takes milliseconds to clean: not under the lock, and not what is dropped.
	renewal := r.Renewal(process, a.now())
	renewal.MaxLog = int64(max(a.cfg.MaxLog, 0))
	lines := renewal.Lines
	if dropped > 0 {
		note := queue.Line{At: a.now(), Text: text.Count(dropped, "line came too fast and was dropped", "lines came too fast and were dropped")}
		lines = append([]queue.Line{note}, lines...)
	}
	renewal.Lines = nil // they go by themselves: no sign of life waits for anybody's log
	answer, err := a.renewals.Do(ctx, renewal)
	if err == nil {
		err = answer.Err
	}
	if err = a.renewed(call, renewal, answer.Canceled, err); err != nil {
		return false, err
	}
	a.linger(ctx, r.Organization, "renew")
	renewal.Progress = nil
	if err := a.log(ctx, renewal, lines); err != nil {
		return false, err
	}
	if a.timedOut(r.Lease) {
		return false, queue.ErrTimeout
	}
	return answer.Canceled, nil
}

// report takes a report into the book, and what comes too fast out of the report. It does nothing else under the lock: the texts are as
// long as they are, and nobody has cleaned them.
func (a *Acquirer) report(job queue.Job, r *queue.Report) (call leases.Call, process uuid.UUID, dropped int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.watchBook()
	process = a.member.process
	if call, err = a.book.Report(job, process, r.Silence, a.clock.Now()); err != nil {
		return call, process, 0, err
	}
	h := holdingOf(a.book.Find(r.Lease))
	if h.worker == (workerKey{}) {
		a.countHeld(h, workerKey{r.Organization, r.Worker})
	}
	if len(r.Lines) > 0 {
		r.Lines, dropped = h.pace.admit(r.Lines, a.now())
	}
	return call, process, dropped, nil
}

// log appends lines to a job's log, part by part, after a report without them was taken.
func (a *Acquirer) log(ctx context.Context, r queue.Renewal, lines []queue.Line) error {
	for len(lines) > 0 {
		n := part(lines)
		r.Lines, lines = lines[:n], lines[n:]
		if err := a.logPart(ctx, r); err != nil {
			return err
		}
		if len(lines) > 0 {
			a.linger(ctx, r.Organization, "renew")
		}
	}
	return nil
}

// part is how many of the lines, at least one, go into one call.
func part(lines []queue.Line) int {
	bytes := 0
	for n := range lines {
		if bytes += bytesOf(lines[n : n+1]); bytes > logBytes {
			return max(n, 1)
		}
	}
	return len(lines)
}

// bytesOf is what lines cost a store.
func bytesOf(lines []queue.Line) (n int) {
	for _, line := range lines {
		n += len(line.Text) + lineCost
	}
	return n
}

// logPart waits for a call that writes some lines. What the answer says of the lease the next report hears too.
func (a *Acquirer) logPart(ctx context.Context, r queue.Renewal) error {
	answer, err := a.logs.Do(ctx, r)
	if err == nil {
		err = answer.Err
	}
	switch {
	case errors.Is(err, queue.ErrProcessLost):
		return errUnregistered
	case err != nil:
		return fmt.Errorf("acquirer: log: %w", err)
	}
	return nil
}

// renewed takes in the answer to a report.
func (a *Acquirer) renewed(call leases.Call, r queue.Renewal, canceled bool, err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.watchBook()
	now := a.clock.Now()
	switch {
	case errors.Is(err, queue.ErrLeaseLost):
		a.left(queue.ErrLeaseLost, a.book.Over(call))
		return err
	case errors.Is(err, queue.ErrProcessLost):
		a.book.Refused(call, now)
		a.lost(r.Process)
		return errUnregistered
	case err != nil:
		a.book.Unknown(call, now)
		return err
	}
	a.book.Renewed(call, r.Process, now)
	if canceled {
		a.canceled(r.Lease)
	}
	return nil
}

// prove compares a handout with the job that it is for, before it has any effect here: the store would refuse a wrong one, but
// the book of leases hears of a report before the store does, and what is in the book was handed out. A lease that is not
// in it is looked up. [queue.ErrLeaseLost] says no more than that it is not the right one.
func (a *Acquirer) prove(ctx context.Context, h queue.Handout) (queue.Job, error) {
	a.mu.Lock()
	e := a.book.Find(h.Lease)
	var job queue.Job
	if e != nil {
		job = e.Job
	}
	a.mu.Unlock()
	if e == nil {
		var err error
		begun := a.clock.Now()
		job, err = a.findJob(ctx, h.Lease.Job)
		a.shares.Spend(h.Organization, a.clock.Since(begun))
		if err != nil {
			return queue.Job{}, err
		}
	}
	if !h.Of(&job) || job.State != queue.Running {
		return queue.Job{}, queue.ErrLeaseLost
	}
	return job, nil
}

func (a *Acquirer) storeRenewals(ctx context.Context, renewals []queue.Renewal) (answers []queue.Renewed, err error) {
	begun := a.clock.Now()
	answers, err = ask(ctx, a, "renew", func(ctx context.Context) ([]queue.Renewed, error) { return a.store.Renew(ctx, a.now(), renewals) })
	a.spendOn(a.clock.Since(begun), partsOf(renewals))
	return answers, err
}
