package acquirer

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/backoff"
)

// queueClaim is the hall's start: the caller holds the lock.
func (a *Acquirer) queueClaim(d *domain) {
	a.queue.add(func(ctx context.Context) { a.serve(ctx, d) })
}

// serve makes one claim for a domain, after settling the one before if its answer was lost.
func (a *Acquirer) serve(ctx context.Context, d *domain) {
	if !a.admit(func() { a.queueClaim(d) }) {
		return
	}
	if !a.settle(ctx, d) {
		return
	}
	a.mu.Lock()
	round := a.hall.begin(d, a.cfg.Batch)
	if round == nil {
		a.mu.Unlock()
		return
	}
	claim := a.ask(round)
	a.open[round.token] = struct{}{}
	a.mu.Unlock()

	var answer queue.Claimed
	err := a.call(ctx, "claim", func(ctx context.Context) (err error) {
		answer, err = a.store.Claim(ctx, claim)
		return err
	})
	if err != nil {
		a.claimFailed(round, claim.Process, err)
		return
	}
	a.claimed(ctx, round, claim.Process, answer)
}

// admit reports whether a store call may go now. If the store has been failing it is put off, and before the
// process is registered it is parked.
func (a *Acquirer) admit(again func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch a.state {
	case fresh, joining:
		a.parked = append(a.parked, again)
		return false
	case ended:
		return false
	}
	if wait := a.breaker.wait(); wait > 0 {
		a.agenda.after(wait, again)
		return false
	}
	return true
}

// ask turns a round into the store's words. The caller holds the lock.
func (a *Acquirer) ask(r *round) queue.Claim {
	c := queue.Claim{Token: r.token, Process: a.process, Now: a.now(), Limits: a.limits(r.domain.org)}
	for _, w := range r.waiters {
		c.Workers = append(c.Workers, w.worker)
	}
	for _, lane := range r.lanes {
		c.Probes = append(c.Probes, queue.Probe{Lane: lane.Lane, From: lane.from, Boost: a.boost(lane.oldest, c.Now)})
	}
	return c
}

// boost is what a lane's age adds to its priority.
func (a *Acquirer) boost(oldest, now time.Time) int16 {
	if a.cfg.Age == 0 || oldest.IsZero() || !oldest.Before(now) {
		return 0
	}
	return int16(min(now.Sub(oldest)/a.cfg.Age, math.MaxInt16))
}

// claimed hands out what a claim got.
func (a *Acquirer) claimed(ctx context.Context, r *round, process uuid.UUID, answer queue.Claimed) {
	a.mu.Lock()
	delete(a.open, r.token)
	a.breaker.note(true, 0, 0)
	if process != a.process { // declared lost meanwhile: these leases are nobody's, the jobs come back by themselves
		a.hall.fail(r)
		r.domain.unsettled = nil
		a.hall.retry(r.domain)
		a.mu.Unlock()
		return
	}
	awards, rest, drained := a.hall.finish(r, answer)
	a.deliver(awards, cause(r))
	a.tellTaken(drained)
	a.mu.Unlock()
	a.metrics.claim(len(answer.Jobs), len(r.waiters))
	a.reassign(ctx, awards)
	a.release(ctx, rest)
}

// cause is how the process learned of what a claim was for.
func cause(r *round) wakeCause {
	found := wakePoll
	for _, lane := range r.lanes {
		switch lane.wake {
		case wakeHandoff:
			return wakeHandoff
		case wakeNotify:
			found = wakeNotify
		}
	}
	return found
}

// deliver gives jobs to waiters and begins to keep their leases. The caller holds the lock.
func (a *Acquirer) deliver(awards []award, wake wakeCause) {
	for _, w := range awards {
		job := w.job
		job.Worker = w.worker
		a.hold(job, w.domain, w.call.request.Silence)
		w.call.won <- prize{job: job}
		if wake != "" {
			a.metrics.acquired(job, wake)
		}
	}
}

// claimFailed keeps the waiters waiting, unless the host wants it otherwise, and tries again after a pause.
func (a *Acquirer) claimFailed(r *round, process uuid.UUID, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := r.domain
	if errors.Is(err, queue.ErrProcessLost) {
		delete(a.open, r.token)
		a.lost(process)
		a.hall.fail(r)
		d.unsettled = nil
		a.agenda.after(a.cfg.Backoff, func() { a.retry(d) })
		return
	}
	a.breaker.note(false, a.cfg.Backoff, a.cfg.BackoffMax)
	a.hall.fail(r)
	pause := backoff.Doubled(a.cfg.Backoff, d.failures-1, a.cfg.BackoffMax)
	if a.state != ended {
		a.cfg.Logger.Warn("claim failed", "organization", d.Organization, "waiting", d.line.Len(), "again_in", pause, "error", err)
	}
	if a.cfg.FailWaiters {
		now := a.clock.Now()
		for _, w := range r.waiters {
			if w.place != nil {
				w.leave(now)
				w.call.fail(&ClaimError{err})
			}
		}
	}
	a.agenda.after(pause, func() { a.retry(d) })
}

func (a *Acquirer) retry(d *domain) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hall.retry(d)
}

// settle looks up what the domain's last claim got, if its answer was lost. It reports whether the domain may
// go on.
func (a *Acquirer) settle(ctx context.Context, d *domain) bool {
	a.mu.Lock()
	r := d.unsettled
	a.mu.Unlock()
	if r == nil {
		return true
	}
	jobs, err := a.find(ctx, r.token)
	if err != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.breaker.note(false, a.cfg.Backoff, a.cfg.BackoffMax)
		d.turnTo(claiming)
		d.failures++
		a.agenda.after(backoff.Doubled(a.cfg.Backoff, d.failures-1, a.cfg.BackoffMax), func() { a.retry(d) })
		return false
	}
	a.mu.Lock()
	delete(a.open, r.token)
	a.breaker.note(true, 0, 0)
	awards, rest := a.hall.settle(r, jobs)
	a.deliver(awards, cause(r))
	a.mu.Unlock()
	if len(jobs) > 0 {
		a.cfg.Logger.Info("claim whose answer was lost is settled", "jobs", len(jobs))
	}
	a.reassign(ctx, awards)
	a.release(ctx, rest)
	return false // settling woke the domain again if there is more to claim
}

// find looks a claim up by its token.
func (a *Acquirer) find(ctx context.Context, token uuid.UUID) (jobs []queue.Job, err error) {
	a.mu.Lock()
	process := a.process
	a.mu.Unlock()
	err = a.call(ctx, "find claim", func(ctx context.Context) error {
		jobs, err = a.store.Jobs(ctx, queue.Filter{Process: process, Token: token})
		return err
	})
	return jobs, err
}
