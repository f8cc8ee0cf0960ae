package acquirer

import (
	"context"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

// deliver begins to keep the leases of jobs and gives them to their waiters. It returns those that the store has to hear of
// first: until it names the new worker it would refuse that one's reports. The caller holds the lock.
func (a *Acquirer) deliver(awards []dispatch.Award, cause dispatch.Cause) (moved []dispatch.Award) {
	for _, w := range awards {
		w.Job.Worker = w.Worker
		a.hold(*w.Job, w.Domain(), callOf(w.Waiter).request.Silence)
		if w.Moved {
			moved = append(moved, w)
			continue
		}
		a.hand(w, cause)
	}
	return moved
}

// hand gives a job to its waiter, who is there. The caller holds the lock.
func (a *Acquirer) hand(w dispatch.Award, cause dispatch.Cause) {
	callOf(w.Waiter).answers <- answer{job: w.Job}
	if cause != "" {
		a.metrics.acquired(*w.Job, cause)
	}
}

// reassign tells the store of jobs that went to another worker than they were claimed for, and gives them to that one.
func (a *Acquirer) reassign(ctx context.Context, awards []dispatch.Award, cause dispatch.Cause) {
	if len(awards) == 0 {
		return
	}
	moves := make([]queue.Reassignment, len(awards))
	for i, w := range awards {
		moves[i] = queue.Reassignment{Lease: w.Job.Lease(), Process: w.Job.Process, Worker: w.Worker}
	}
	accepted, err := ask(ctx, a, "reassign", func(ctx context.Context) ([]bool, error) { return a.store.Reassign(ctx, moves) })
	if err != nil {
		a.cfg.Logger.Warn("jobs not passed on to other workers", "jobs", len(moves), "error", err)
		accepted = make([]bool, len(moves))
	}
	for i, w := range awards {
		a.passOn(ctx, w, accepted[i], cause)
	}
}

// passOn gives a job to the worker that the store names now. A caller who has left meanwhile does not get it, and one whose
// job the store did not pass on waits again.
func (a *Acquirer) passOn(ctx context.Context, w dispatch.Award, accepted bool, cause dispatch.Cause) {
	a.mu.Lock()
	c := callOf(w.Waiter)
	var back []queue.Job
	switch held := a.book.Find(w.Job.Lease()) != nil; {
	case held && accepted && !c.gone:
		a.hand(w, cause)
	case held:
		back = append(back, *w.Job)
		fallthrough
	default:
		a.waitAgain(c, w)
	}
	doubts := a.returned(back)
	a.mu.Unlock()
	a.release(ctx, doubts)
}

// waitAgain puts a waiter back into line whose job came to nothing. The caller holds the lock.
func (a *Acquirer) waitAgain(c *call, w dispatch.Award) {
	switch {
	case c.gone:
	case a.member.state >= draining:
		c.fail(queue.ErrStopped)
	default:
		a.dispatch.Join(w.Waiter, w.Domain().Domain)
	}
}

// giveBack passes on jobs whose caller left in the instant in which they were won: to the next in line, else
// back into the store.
func (a *Acquirer) giveBack(d *dispatch.Domain, jobs []queue.Job) {
	a.mu.Lock()
	awards, rest := d.Next(jobs)
	moved := a.deliver(awards, "")
	doubts := a.returned(rest)
	over := a.member.state == ended
	a.mu.Unlock()
	finish := func(ctx context.Context) {
		a.reassign(ctx, moved, "")
		a.release(ctx, doubts)
	}
	if over { // nobody serves the queue any more
		finish(context.Background())
		return
	}
	a.calls.Add(d.Organization, finish)
}
