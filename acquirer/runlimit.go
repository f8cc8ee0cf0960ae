package acquirer

import (
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/leases"
)

// defaultGrace is long, because what has to be undone may take long, and whose lease is given up may still be at work beside
// the next one.
const defaultGrace = 10 * time.Minute

// runLimit is how long an attempt at a job may take; 0: for ever.
func (a *Acquirer) runLimit(job queue.Job) time.Duration {
	if job.RunLimit > 0 {
		return job.RunLimit
	}
	if limit, ok := a.cfg.RunLimits[job.Type]; ok {
		return limit
	}
	return a.cfg.RunLimits[""]
}

// timeout tells a worker that its run has reached the limit. The caller holds the lock, and plans the next look into the book.
func (a *Acquirer) timeout(e *leases.Entry) {
	limit := a.runLimit(e.Job)
	a.book.Stop(e, fmt.Sprintf("it did not stop within %s after the limit of its run, %s", a.cfg.Grace, limit), a.graceFrom(e.LimitAt()))
	h := holdingOf(e)
	h.timedOut = true
	h.interrupt(queue.ErrTimeout)
	a.metrics.timedOut(e.Job)
	a.emit(queue.Event{
		Kind: queue.EventTimeout, At: a.now(), Lane: e.Job.Lane(), Job: e.Job.Outline(), Process: e.Job.Process,
		Reason: fmt.Sprintf("attempt %d has taken %s", e.Job.Attempt, limit),
	})
}

// giveUpAfterCancel plans when a lease is given up whose job somebody asked to cancel. The caller holds the lock.
func (a *Acquirer) giveUpAfterCancel(e *leases.Entry) {
	asked := e.Job.CancelAt // zero unless the lease came here afterwards
	if asked.IsZero() {
		asked = a.clock.Now()
	}
	a.book.Stop(e, fmt.Sprintf("it did not stop within %s after it was asked to", a.cfg.Grace), a.graceFrom(asked))
	a.watchBook()
}

// graceFrom is the end of a grace; zero if there is none. A worker that comes from another process late in it, or after it,
// still has the time of a lease to hear of it.
func (a *Acquirer) graceFrom(at time.Time) time.Time {
	if a.cfg.Grace < 0 {
		return time.Time{}
	}
	end, least := at.Add(a.cfg.Grace), a.clock.Now().Add(min(a.cfg.Grace, a.cfg.Lease))
	if end.Before(least) {
		return least
	}
	return end
}

// timedOut reports whether a lease's run has reached its limit, and nothing else is to be said to its worker.
func (a *Acquirer) timedOut(lease queue.Lease) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.book.Find(lease)
	if e == nil || !e.PastLimit(a.clock.Now()) {
		return false
	}
	if !holdingOf(e).timedOut { // the report came first
		a.timeout(e)
		a.watchBook()
	}
	return !holdingOf(e).canceled
}

// oldestRuns are the ages of the oldest attempts that this process keeps, by type. The caller holds the lock.
func (a *Acquirer) oldestRuns() map[string]time.Duration {
	now := a.clock.Now()
	oldest := make(map[string]time.Duration)
	for e := range a.book.All {
		if e.Job.Process != a.member.process || e.Job.StartedAt.IsZero() {
			continue
		}
		oldest[e.Job.Type] = max(oldest[e.Job.Type], now.Sub(e.Job.StartedAt))
	}
	return oldest
}
