package acquirer

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
	"github.com/dormouse-go/dormouse/internal/leases"
)

// holding is what we keep beside a lease in the book.
type holding struct {
	domain *dispatch.Domain // nil if the lease came by a report
	// canceled: somebody asked for the job's cancellation.
	canceled bool
	// timedOut: the run has reached its limit.
	timedOut bool
	pace     throttle
	// worker is who is counted for the job; the zero key: nobody.
	worker workerKey
	// watchers is the first of a list, hardly ever of more than one.
	watchers *watcher
}

// watcher is a context that ends with the lease.
type watcher struct {
	cancel context.CancelCauseFunc
	next   *watcher
}

func holdingOf(e *leases.Entry) *holding {
	h, ok := e.Owner.(*holding)
	if !ok {
		h = &holding{}
		e.Owner = h
	}
	return h
}

func (h *holding) interrupt(cause error) {
	for w := h.watchers; w != nil; w = w.next {
		w.cancel(cause)
	}
}

// unwatch takes a watcher out of the list.
func (h *holding) unwatch(w *watcher) {
	for at := &h.watchers; *at != nil; at = &(*at).next {
		if *at == w {
			*at = w.next
			return
		}
	}
}

// assign counts the job for a domain's workers, instead of those of the domain before.
func (h *holding) assign(d *dispatch.Domain, now time.Time) {
	if h.domain == d {
		return
	}
	if h.domain != nil {
		h.domain.Ended(now)
	}
	if h.domain = d; d != nil {
		d.Started()
	}
}

// hold puts a job into a worker's hands. The caller holds the lock.
func (a *Acquirer) hold(job queue.Job, d *dispatch.Domain, silence time.Duration) {
	now := a.clock.Now()
	job.Secret = queue.Secret{} // it is the worker's alone
	h := holdingOf(a.book.Hold(job, silence, now))
	h.assign(d, now)
	a.countHeld(h, workerKey{job.Organization, job.Worker})
	a.watchBook()
}

// returned begins to give back jobs that no worker got: [Acquirer.release] has to follow. The caller holds the lock.
func (a *Acquirer) returned(jobs []queue.Job) []leases.Doubt {
	doubts := make([]leases.Doubt, len(jobs))
	for i, job := range jobs {
		job.Secret = queue.Secret{}
		doubts[i] = a.book.Return(job)
		h := holdingOf(a.book.Find(job.Lease()))
		h.assign(nil, a.clock.Now())
		a.countHeld(h, workerKey{})
		a.hangUps.add(workerKey{job.Organization, job.Worker}, a.clock.Now())
	}
	return doubts
}

// left does what follows when leases have left the book. Whoever watches them is interrupted if there is a cause. The
// caller holds the lock.
func (a *Acquirer) left(cause error, entries ...*leases.Entry) {
	for _, e := range entries {
		if e == nil {
			continue
		}
		h := holdingOf(e)
		h.assign(nil, a.clock.Now())
		a.countHeld(h, workerKey{})
		if cause != nil {
			h.interrupt(cause)
		}
	}
	a.checkDrained()
}

// countHeld counts a job for a worker, instead of for the one before. The caller holds the lock.
func (a *Acquirer) countHeld(h *holding, worker workerKey) {
	if h.worker != (workerKey{}) {
		count(a.held, h.worker, -1)
	}
	if h.worker = worker; worker != (workerKey{}) {
		a.held[worker]++
	}
}

// checkDrained lets Run end as soon as it may. The caller holds the lock.
func (a *Acquirer) checkDrained() {
	if a.member.state != draining || a.book.Len(a.member.process) > 0 {
		return
	}
	select {
	case <-a.member.drained:
	default:
		close(a.member.drained)
	}
}

// interruptAll ends the contexts of all work; no lease leaves the book. The caller holds the lock.
func (a *Acquirer) interruptAll(cause error) {
	for e := range a.book.All {
		holdingOf(e).interrupt(cause)
	}
}

// canceled notes that somebody asked for a job's cancellation. The caller holds the lock.
func (a *Acquirer) canceled(lease queue.Lease) {
	if e := a.book.Find(lease); e != nil && !holdingOf(e).canceled {
		holdingOf(e).canceled = true
		holdingOf(e).interrupt(queue.ErrJobCanceled)
		a.giveUpAfterCancel(e)
	}
}

// watchBook sees to it that somebody looks when the next thing happens in the book by itself. One look is planned at a
// time, unless something comes sooner: a report moves an instant, no more. The caller holds the lock.
func (a *Acquirer) watchBook() {
	next, ok := a.book.Next()
	if !ok || !a.bookAt.IsZero() && !next.Before(a.bookAt) {
		return
	}
	a.bookAt = next
	a.agenda.After(a.clock.Until(next), func() { a.lookIntoBook(next) }, "silence")
}

func (a *Acquirer) lookIntoBook(planned time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.bookAt.Equal(planned) || a.member.state == ended {
		return // another look was planned before this one, and has seen to the rest
	}
	a.bookAt = time.Time{}
	doubts, stops := a.book.Due(a.clock.Now())
	for _, e := range stops {
		a.timeout(e)
	}
	for _, d := range doubts {
		a.seekVerdict(d)
	}
	a.watchBook()
}

// Watch returns a context for the work on a job. It ends with ctx, with [queue.ErrLeaseLost] as its cause when the
// lease is lost, with [queue.ErrJobCanceled] when somebody asks for the job's cancellation, with [queue.ErrStopped] when
// Run ends, with [queue.ErrTimeout] when the run reaches its limit, and when the returned function is called, which must be done in the end. If this process does not
// keep the lease, the context has ended already.
func (a *Acquirer) Watch(ctx context.Context, lease queue.Lease) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.book.Find(lease)
	if e == nil || e.State() == leases.Judged {
		cancel(queue.ErrLeaseLost)
		return ctx, func() {}
	}
	h := holdingOf(e)
	switch {
	case a.member.state == ended:
		cancel(queue.ErrStopped)
	case h.canceled:
		cancel(queue.ErrJobCanceled)
	case h.timedOut:
		cancel(queue.ErrTimeout)
	}
	w := &watcher{cancel, h.watchers}
	h.watchers = w
	return ctx, func() {
		cancel(context.Canceled)
		a.mu.Lock()
		defer a.mu.Unlock()
		h.unwatch(w)
	}
}
