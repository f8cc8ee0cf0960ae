package acquirer

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
)

// held is a job whose lease this process keeps.
type held struct {
	job    queue.Job
	domain *domain // nil if the lease came by a renewal
	// silence is how long the worker may go unheard; zero: for ever. heardAt is when it was last heard.
	silence time.Duration
	heardAt time.Time
	// canceled: somebody asked for the job's cancellation.
	canceled bool
	watchers map[*watcher]struct{}
}

// watcher is a context that ends with the lease.
type watcher struct{ cancel context.CancelCauseFunc }

func (h *held) interrupt(cause error) {
	for w := range h.watchers {
		w.cancel(cause)
	}
}

// hold begins to keep a lease. The caller holds the lock.
func (a *Acquirer) hold(job queue.Job, d *domain, silence time.Duration) {
	h := &held{job: job, domain: d, silence: silence, heardAt: a.clock.Now(), watchers: make(map[*watcher]struct{})}
	a.held[job.Lease()] = h
	if d != nil {
		d.busy++
	}
	a.listenFor(h)
}

// drop ends the keeping of a lease; whoever watches it is interrupted if there is a cause. The caller holds
// the lock.
func (a *Acquirer) drop(lease queue.Lease, cause error) *held {
	h, ok := a.held[lease]
	if !ok {
		return nil
	}
	delete(a.held, lease)
	if h.domain != nil {
		h.domain.busy--
		h.domain.quietSince = a.clock.Now()
	}
	if cause != nil {
		h.interrupt(cause)
	}
	return h
}

// Watch returns a context for the work on a job. It ends with ctx, with [queue.ErrLeaseLost] as its cause when the
// lease is lost, with [queue.ErrJobCanceled] when somebody asks for the job's cancellation, with [queue.ErrStopped] when
// Run ends, and when the returned function is called, which must be done in the end. If this process does not
// keep the lease, the context has ended already.
func (a *Acquirer) Watch(ctx context.Context, lease queue.Lease) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	h, ok := a.held[lease]
	switch {
	case !ok:
		cancel(queue.ErrLeaseLost)
		return ctx, func() {}
	case a.state == ended:
		cancel(queue.ErrStopped)
	case h.canceled:
		cancel(queue.ErrJobCanceled)
	}
	w := &watcher{cancel}
	h.watchers[w] = struct{}{}
	return ctx, func() {
		cancel(context.Canceled)
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(h.watchers, w)
	}
}

// canceled notes that somebody asked for a job's cancellation. The caller holds the lock.
func (a *Acquirer) canceled(lease queue.Lease) {
	if h, ok := a.held[lease]; ok && !h.canceled {
		h.canceled = true
		h.interrupt(queue.ErrJobCanceled)
	}
}

// Renew takes a report: the worker lives, this is how far it is. It says whether somebody asked for the job's
// cancellation. A worker may report to any process that shares the store, for example when the one that gave
// it the job is gone; that process keeps the lease from then on. [queue.ErrLeaseLost] means that the worker must
// stop at once; any other error leaves open whether the report arrived, and repeating it may write its lines
// twice.
func (a *Acquirer) Renew(ctx context.Context, r queue.Report) (canceled bool, err error) {
	if r.Progress != nil && (r.Progress.Percent < 0 || r.Progress.Percent > 100) {
		return false, invalid.New("progress.percent", r.Progress.Percent, "between 0 and 100")
	}
	if r.Silence < 0 {
		return false, invalid.New("silence", r.Silence, "must not be negative")
	}
	answer, err := a.renews.call(ctx, a.renewal(r))
	if err == nil {
		err = answer.Err
	}
	if errors.Is(err, queue.ErrLeaseLost) {
		a.mu.Lock()
		a.drop(r.Lease, queue.ErrLeaseLost)
		a.mu.Unlock()
	}
	if err != nil {
		return false, err
	}
	if !a.heard(r, answer.Canceled) {
		err = a.adopt(ctx, r, answer.Canceled)
	}
	return answer.Canceled, err
}

func (a *Acquirer) renewal(r queue.Report) queue.Renewal {
	a.mu.Lock()
	renewal := queue.Renewal{Lease: r.Lease, Process: a.process, Worker: r.Worker}
	a.mu.Unlock()
	if r.Progress != nil {
		renewal.Progress = &queue.Progress{Percent: r.Progress.Percent, Message: queue.CleanText(r.Progress.Message, queue.MaxMessageText)}
	}
	now := a.now()
	for _, line := range r.Lines {
		at := micros.Of(line.At)
		if at.IsZero() {
			at = now
		}
		renewal.Lines = append(renewal.Lines, queue.Line{At: at, Text: queue.CleanText(line.Text, queue.MaxLine)})
	}
	return renewal
}

// heard notes a sign of life; ok is false if the lease is not kept here yet.
func (a *Acquirer) heard(r queue.Report, canceled bool) (ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h, ok := a.held[r.Lease]
	if !ok {
		return false
	}
	h.heardAt = a.clock.Now()
	if r.Silence > 0 {
		h.silence = r.Silence
		a.listenFor(h)
	}
	if canceled {
		a.canceled(r.Lease)
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
	if _, ok := a.held[r.Lease]; !ok && a.state != ended {
		a.hold(jobs[0], nil, r.Silence)
	}
	a.mu.Unlock()
	a.heard(r, canceled)
	return nil
}

// storeRenewals is the batcher's.
func (a *Acquirer) storeRenewals(renewals []queue.Renewal) (answers []queue.Renewed, err error) {
	err = a.call(context.Background(), "renew", func(ctx context.Context) error {
		answers, err = a.store.Renew(ctx, a.now(), renewals)
		return err
	})
	return answers, err
}
