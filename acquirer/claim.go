package acquirer

import (
	"context"
	"errors"
	"math"
	"runtime"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
	"github.com/dormouse-go/dormouse/internal/workqueue"
)

// queueClaim is the dispatcher's hook.
func (a *Acquirer) queueClaim(d *dispatch.Domain) {
	a.queueCall(claimOf(d), func(ctx context.Context) { a.serve(ctx, d) })
}

// queueCall queues a call of the store. Where the last one failed, which may have taken it long, it does not take the place of another's.
func (a *Acquirer) queueCall(t target, work workqueue.Work) {
	if r := a.health.rank(t); r != healthy {
		a.trials[r].Add(t.organization, work)
		return
	}
	a.calls.Add(t.organization, work)
}

// answered takes in that a call was answered by the store.
func (a *Acquirer) answered(t target) { a.goOn(a.health.succeed(t)...) }

// goOn lets organizations keep their turns among those that are tried, be it that they are back, or that what was asked for them took no
// time from the others.
func (a *Acquirer) goOn(targets ...target) {
	for _, t := range targets {
		for _, trials := range a.trials {
			trials.First(t.organization)
		}
	}
}

// serve makes one claim for a domain, after settling the one before if its answer was lost.
func (a *Acquirer) serve(ctx context.Context, d *dispatch.Domain) {
	if a.putOffClaim(d) {
		return
	}
	if !a.settle(ctx, d) {
		return
	}
	a.gather(d)
	a.mu.Lock()
	round := a.dispatch.Begin(d, a.cfg.Batch)
	if round == nil {
		a.mu.Unlock()
		return
	}
	claim := a.claimFor(round)
	a.book.Open(round.Token)
	a.mu.Unlock()

	begun := a.clock.Now()
	answer, err := ask(ctx, a, "claim", func(ctx context.Context) (queue.Claimed, error) { return a.store.Claim(ctx, claim) })
	if err != nil {
		a.claimFailed(round, claim.Process, begun, err)
		return
	}
	a.claimed(ctx, round, claim.Process, answer)
}

// gather lets others run first who are about to wait, as long as more come: those whose ends one call has stored ask for their next
// jobs one after the other, and a claim for the first of them would leave the others behind. Where nobody comes just then it is not
// put off, since other processes may be after the same job.
func (a *Acquirer) gather(d *dispatch.Domain) {
	for before := 0; ; {
		a.mu.Lock()
		waiting, more := d.Waiting(), d.Joining()
		a.mu.Unlock()
		if !more || waiting <= before || waiting >= a.cfg.Batch {
			return
		}
		before = waiting
		runtime.Gosched()
	}
}

// putOff reports that a call of the store may not go now: again queues it once the process is registered, or the pause after what has
// failed is over. From the state named last on it is dropped. The caller holds the lock.
func (a *Acquirer) putOff(t target, again func(), last runState) bool {
	switch state := a.member.state; {
	case state == fresh || state == joining:
		a.member.parked = append(a.member.parked, again)
		return true
	case state >= last:
		return true
	}
	if wait := a.health.wait(t, a.clock.Now()); wait > 0 {
		a.agenda.After(wait, again, "breaker")
		return true
	}
	return false
}

// putOffListing is putOff for a listing of organizations, none meaning all.
func (a *Acquirer) putOffListing(organizations []uuid.UUID, again func(), last runState) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.putOff(listingOf(organizations), again, last)
}

// putOffClaim is putOff for a domain's claim. One that is put off is not what other processes leave a job to.
func (a *Acquirer) putOffClaim(d *dispatch.Domain) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.putOff(claimOf(d), func() { a.queueClaim(d) }, draining) {
		return false
	}
	a.dispatch.PutOff(d)
	return true
}

// claimFor puts a round into the store's words. The caller holds the lock.
func (a *Acquirer) claimFor(r *dispatch.Round) queue.Claim {
	c := queue.Claim{
		Token: r.Token, Process: a.member.process, Now: a.now(),
		Workers: r.Workers(), Secrets: r.Secrets(), Limits: a.limits(r.Domain()),
	}
	for _, p := range r.Probes() {
		c.Probes = append(c.Probes, queue.Probe{Lane: p.Lane, From: p.From, Boost: a.boost(p.Oldest, c.Now)})
	}
	return c
}

// limits are what a claim of a domain must keep to. The caller holds the lock.
func (a *Acquirer) limits(d *dispatch.Domain) queue.Limits {
	if len(a.cfg.Reserves) == 0 {
		return a.cfg.Limits
	}
	return a.cfg.Limits.WithReserves(a.cfg.Reserves, max(d.Slots(), a.fleet.slots(d.Organization)))
}

// boost is what a lane's age adds to its priority.
func (a *Acquirer) boost(oldest, now time.Time) int16 {
	if a.cfg.Age == 0 || oldest.IsZero() || !oldest.Before(now) {
		return 0
	}
	return int16(min(now.Sub(oldest)/a.cfg.Age, math.MaxInt16))
}

// claimed hands out what a claim got.
func (a *Acquirer) claimed(ctx context.Context, r *dispatch.Round, process uuid.UUID, answer queue.Claimed) {
	a.mu.Lock()
	a.book.Close(r.Token)
	a.answered(claimOf(r.Domain()))
	if process != a.member.process { // declared lost meanwhile: these leases are nobody's, the jobs come back by themselves
		a.dispatch.Void(r)
		a.dispatch.Retry(r.Domain())
		a.mu.Unlock()
		return
	}
	a.refused.started(answer.Jobs)
	a.refused.add(answer.Refused, a.clock.Now())
	a.claimedAtHint(r, len(answer.Jobs))
	awards, rest, drained := a.dispatch.Finish(r, answer)
	moved := a.deliver(awards, r.Cause())
	a.announceTaken(drained)
	doubts := a.returned(rest)
	a.mu.Unlock()
	a.metrics.claim(len(answer.Jobs), len(r.Workers()))
	a.reassign(ctx, moved, r.Cause())
	a.release(ctx, doubts)
}

// claimFailed keeps the waiters waiting and tries again after a pause.
func (a *Acquirer) claimFailed(r *dispatch.Round, process uuid.UUID, begun time.Time, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := r.Domain()
	if errors.Is(err, queue.ErrProcessLost) {
		a.book.Close(r.Token)
		a.lost(process)
		a.dispatch.Void(r)
		a.retryAfter(firstPause, d)
		return
	}
	now := a.clock.Now()
	a.health.fail(claimOf(d), now.Sub(begun), now)
	a.dispatch.Fail(r)
	pause := growing(d.Failures() - 1)
	a.tellFailed("claim failed", err, "organization", d.Organization, "waiting", d.Waiting(), "again_in", pause)
	a.retryAfter(pause, d)
}

// tellFailed warns of a call that failed, unless all are given up just then. The caller holds the lock.
func (a *Acquirer) tellFailed(what string, err error, attributes ...any) {
	if a.member.state != ended {
		a.teller.tell(func(context.Context) { a.cfg.Logger.With(attributes...).Warn(what, "error", err) })
	}
}

// retryAfter lets a domain claim again after a pause.
func (a *Acquirer) retryAfter(pause time.Duration, d *dispatch.Domain) {
	a.agenda.After(pause, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.dispatch.Retry(d)
	}, "retry")
}

// settle looks up what the domain's last claim got, if its answer was lost. It reports whether the domain may
// go on.
func (a *Acquirer) settle(ctx context.Context, d *dispatch.Domain) bool {
	a.mu.Lock()
	r := d.Unsettled()
	a.mu.Unlock()
	if r == nil {
		return true
	}
	begun := a.clock.Now()
	jobs, err := a.find(ctx, r.Token)
	if err != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		now := a.clock.Now()
		a.health.fail(claimOf(d), now.Sub(begun), now)
		a.dispatch.SettleFailed(d)
		pause := growing(d.Failures() - 1)
		a.tellFailed("lost claim not looked up", err, "organization", d.Organization, "waiting", d.Waiting(), "again_in", pause)
		a.retryAfter(pause, d)
		return false
	}
	a.mu.Lock()
	a.book.CloseLate(r.Token, a.clock.Now())
	// That the question was answered says nothing of claims: the organization's next one may fail all the same.
	awards, rest := a.dispatch.Settle(r, jobs)
	moved := a.deliver(awards, r.Cause())
	doubts := a.returned(rest)
	a.mu.Unlock()
	if len(jobs) > 0 {
		a.cfg.Logger.Info("claim whose answer was lost is settled", "jobs", len(jobs))
	}
	if a.clock.Since(begun) < slowTrial {
		a.goOn(claimOf(d))
	}
	a.reassign(ctx, moved, r.Cause())
	a.release(ctx, doubts)
	return false // settling woke the domain again if there is more to claim
}

// find looks a claim up by its token.
func (a *Acquirer) find(ctx context.Context, token uuid.UUID) (jobs []queue.Job, err error) {
	process := a.process()
	return a.lookUp(ctx, "find claim", queue.Filter{Process: process, Token: token})
}
