package acquirer

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

// leases is the book of the leases that this process keeps: who may still be heard of, who watches them, and which claims
// may have taken jobs that are not in it yet. Guarded by Acquirer.mu.
type leases struct {
	held map[queue.Lease]*held
	// open are the tokens of claims whose jobs are not in held yet.
	open map[uuid.UUID]struct{}
}

// held is a job whose lease this process keeps.
type held struct {
	job    queue.Job
	domain *dispatch.Domain // nil if the lease came by a renewal
	// silence is how long the worker may go unheard; zero: for ever. heardAt is when it was last heard.
	silence time.Duration
	heardAt time.Time
	// canceled: somebody asked for the job's cancellation.
	canceled bool
	watchers map[*watcher]struct{}
}

// watcher is a context that ends with the lease.
type watcher struct{ cancel context.CancelCauseFunc }

func newLeases() leases {
	return leases{held: make(map[queue.Lease]*held), open: make(map[uuid.UUID]struct{})}
}

func (h *held) interrupt(cause error) {
	for w := range h.watchers {
		w.cancel(cause)
	}
}

// hold begins to keep a lease.
func (b *leases) hold(job queue.Job, d *dispatch.Domain, silence time.Duration, now time.Time) *held {
	h := &held{job: job, domain: d, silence: silence, heardAt: now, watchers: make(map[*watcher]struct{})}
	b.held[job.Lease()] = h
	if d != nil {
		d.Started()
	}
	return h
}

// drop ends the keeping of a lease and returns what was known of it, or nil. Whoever watches it is interrupted if there is
// a cause.
func (b *leases) drop(lease queue.Lease, cause error, now time.Time) *held {
	h, ok := b.held[lease]
	if !ok {
		return nil
	}
	delete(b.held, lease)
	if h.domain != nil {
		h.domain.Ended(now)
	}
	if cause != nil {
		h.interrupt(cause)
	}
	return h
}

// dropAll empties the book.
func (b *leases) dropAll(cause error, now time.Time) {
	for lease := range b.held {
		b.drop(lease, cause, now)
	}
	clear(b.open)
}

// interrupt ends the contexts of all work, without dropping a lease.
func (b *leases) interrupt(cause error) {
	for _, h := range b.held {
		h.interrupt(cause)
	}
}

// cancel notes that somebody asked for a job's cancellation.
func (b *leases) cancel(lease queue.Lease) {
	if h, ok := b.held[lease]; ok && !h.canceled {
		h.canceled = true
		h.interrupt(queue.ErrJobCanceled)
	}
}

// heard notes a sign of life and returns what is known of the lease, or nil if it is not kept here. A silence above zero
// replaces what was agreed.
func (b *leases) heard(lease queue.Lease, silence time.Duration, now time.Time) *held {
	h, ok := b.held[lease]
	if !ok {
		return nil
	}
	h.heardAt = now
	if silence > 0 {
		h.silence = silence
	}
	return h
}

// compare drops the leases that the store did not name, unless they are younger than the question, and returns the jobs
// that it named and nobody has.
func (b *leases) compare(jobs []queue.Job, asked, now time.Time) (strays []queue.Job) {
	named := make(map[queue.Lease]bool, len(jobs))
	for _, job := range jobs {
		named[job.Lease()] = true
		_, isHeld := b.held[job.Lease()]
		_, isOpen := b.open[job.Token]
		if !isHeld && !isOpen {
			strays = append(strays, job)
		}
	}
	for lease, h := range b.held {
		if !named[lease] && h.heardAt.Before(asked) {
			b.drop(lease, queue.ErrLeaseLost, now)
		}
	}
	return strays
}

// hold begins to keep a lease. The caller holds the lock.
func (a *Acquirer) hold(job queue.Job, d *dispatch.Domain, silence time.Duration) {
	a.watchSilence(a.leases.hold(job, d, silence, a.clock.Now()))
}

// drop ends the keeping of a lease. The caller does not hold the lock.
func (a *Acquirer) drop(lease queue.Lease, cause error) *held {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leases.drop(lease, cause, a.clock.Now())
}

// watchSilence sees to it that a worker's silence is noticed. The caller holds the lock.
func (a *Acquirer) watchSilence(h *held) {
	if h.silence <= 0 {
		return
	}
	a.agenda.After(a.clock.Until(h.heardAt.Add(h.silence)), func() { a.checkSilence(h) }, "silence")
}

func (a *Acquirer) checkSilence(h *held) {
	a.mu.Lock()
	defer a.mu.Unlock()
	lease := h.job.Lease()
	if a.leases.held[lease] != h || a.member.state == ended {
		return
	}
	if a.clock.Since(h.heardAt) < h.silence {
		a.watchSilence(h)
		return
	}
	a.leases.drop(lease, queue.ErrLeaseLost, a.clock.Now())
	job := h.job
	job.Process = a.member.process
	a.losses.addSilent(job)
}

// Watch returns a context for the work on a job. It ends with ctx, with [queue.ErrLeaseLost] as its cause when the
// lease is lost, with [queue.ErrJobCanceled] when somebody asks for the job's cancellation, with [queue.ErrStopped] when
// Run ends, and when the returned function is called, which must be done in the end. If this process does not
// keep the lease, the context has ended already.
func (a *Acquirer) Watch(ctx context.Context, lease queue.Lease) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	h, ok := a.leases.held[lease]
	switch {
	case !ok:
		cancel(queue.ErrLeaseLost)
		return ctx, func() {}
	case a.member.state == ended:
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
