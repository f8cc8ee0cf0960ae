package acquirer

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

// MaxSlots bounds the jobs of one [Acquirer.AcquireJobs].
const MaxSlots = 1000

// ClaimError is what waiters get from a store error under [Config.FailWaiters]. The claim itself may have
// succeeded; what it got goes to other waiters.
type ClaimError struct{ Err error }

// Error implements error.
func (e *ClaimError) Error() string {
	return fmt.Sprintf("acquirer: claim for waiting workers: %v", e.Err)
}

// Unwrap returns the store's error.
func (e *ClaimError) Unwrap() error { return e.Err }

// AcquireJob waits until a job that the worker can run is its own and returns it. The job's lease lives until
// [Acquirer.End], as long as this process lives and, if the request says so, the worker is not silent.
//
// Errors are ctx's, [queue.ErrStopped], a [*invalid.Error] for a bad request and, if asked for, a [*ClaimError]. With
// an error nothing is left behind: a job that was on its way goes to somebody else. Before Run is called, it
// waits.
func (a *Acquirer) AcquireJob(ctx context.Context, r queue.Request) (queue.Job, error) {
	jobs, err := a.AcquireJobs(ctx, r, 1)
	if err != nil {
		return queue.Job{}, err
	}
	return jobs[0], nil
}

// AcquireJobs is [Acquirer.AcquireJob] for a worker with several free slots: it waits for the first job and
// returns with all that came together, at least one and at most so many.
func (a *Acquirer) AcquireJobs(ctx context.Context, r queue.Request, slots int) ([]queue.Job, error) {
	domain, err := queue.NewDomain(r.Organization, r.Types, r.Tags)
	if err != nil {
		return nil, err
	}
	switch {
	case slots < 1 || slots > MaxSlots:
		return nil, invalid.New("slots", slots, "between 1 and "+strconv.Itoa(MaxSlots))
	case r.Silence < 0:
		return nil, invalid.New("silence", r.Silence, "must not be negative")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := &call{request: r, won: make(chan prize, slots+1)}
	waiters, err := a.join(c, domain, slots)
	if err != nil {
		return nil, err
	}
	select {
	case first := <-c.won:
		return a.collect(c, waiters, first)
	case <-ctx.Done():
		a.abandon(c, waiters)
		return nil, ctx.Err()
	}
}

// Jobs is a stream of jobs for one slot: each turn of the loop waits for a job. It ends with an error, which
// is the last thing it yields; leaving the loop ends the waiting.
func (a *Acquirer) Jobs(ctx context.Context, r queue.Request) iter.Seq2[queue.Job, error] {
	return func(yield func(queue.Job, error) bool) {
		for {
			job, err := a.AcquireJob(ctx, r)
			if !yield(job, err) || err != nil {
				return
			}
		}
	}
}

// join puts a call in line, and looks into the store if that was not done lately: the job may be there
// already and its announcement lost.
func (a *Acquirer) join(c *call, domain queue.Domain, slots int) ([]*waiter, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state == ended {
		return nil, queue.ErrStopped
	}
	waiters := make([]*waiter, slots)
	for i := range waiters {
		a.ticket++
		waiters[i] = &waiter{worker: c.request.Worker, since: a.ticket, call: c}
		a.hall.join(waiters[i], domain)
	}
	a.lookSoon(domain.Organization)
	return waiters, nil
}

// collect takes what came together with the first prize and leaves the line.
func (a *Acquirer) collect(c *call, waiters []*waiter, first prize) ([]queue.Job, error) {
	a.leave(waiters)
	jobs := make([]queue.Job, 0, 1)
	err := first.err
	if err == nil {
		jobs = append(jobs, first.job)
	}
	for _, p := range drain(c.won) {
		if p.err == nil {
			jobs = append(jobs, p.job)
		}
	}
	if len(jobs) > 0 {
		return jobs, nil
	}
	return nil, err
}

// abandon leaves the line; what was won in the same instant goes to somebody else.
func (a *Acquirer) abandon(c *call, waiters []*waiter) {
	a.leave(waiters)
	var jobs []queue.Job
	for _, p := range drain(c.won) {
		if p.err == nil {
			jobs = append(jobs, p.job)
		}
	}
	if len(jobs) > 0 {
		a.giveBack(waiters[0].domain, jobs)
	}
}

func (a *Acquirer) leave(waiters []*waiter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	for _, w := range waiters {
		w.leave(now)
	}
}

// drain takes what is in a channel that nobody sends to any more.
func drain(won chan prize) []prize {
	var prizes []prize
	for {
		select {
		case p := <-won:
			prizes = append(prizes, p)
		default:
			return prizes
		}
	}
}

// fail gives the error to the caller, once.
func (c *call) fail(err error) {
	if len(c.won) < cap(c.won) {
		c.won <- prize{err: err}
	}
}

// giveBack passes on jobs whose caller went in the instant in which they were won: to the next in line, else
// back into the store.
func (a *Acquirer) giveBack(d *domain, jobs []queue.Job) {
	a.mu.Lock()
	for _, job := range jobs {
		a.drop(job.Lease(), nil)
	}
	awards, rest := d.next(jobs)
	a.deliver(awards, "")
	over := a.state == ended
	a.mu.Unlock()
	finish := func(ctx context.Context) {
		a.reassign(ctx, awards)
		a.release(ctx, rest)
	}
	if over { // nobody serves the queue any more
		finish(context.Background())
		return
	}
	a.queue.add(finish)
}

// reassign tells the store of jobs that went to another worker than they were claimed for.
func (a *Acquirer) reassign(ctx context.Context, awards []award) {
	var renewals []queue.Renewal
	for _, w := range awards {
		if w.moved {
			renewals = append(renewals, queue.Renewal{Lease: w.job.Lease(), Process: w.job.Process, Worker: w.worker})
		}
	}
	if len(renewals) == 0 {
		return
	}
	// An error leaves a wrong name in the store until the worker's next report; the lease is not touched by it.
	_ = a.call(ctx, "renew", func(ctx context.Context) error {
		_, err := a.store.Renew(ctx, a.now(), renewals)
		return err
	})
}

// release gives claimed jobs back that nobody got. Whatever fails here is found again by the comparison of
// what the store says we hold with what we know.
func (a *Acquirer) release(ctx context.Context, jobs []queue.Job) {
	for batch := range slices.Chunk(jobs, a.cfg.Batch) {
		ends := make([]queue.End, len(batch))
		for i, job := range batch {
			ends[i] = queue.End{Lease: job.Lease(), Outcome: queue.OutcomeReleased, Process: job.Process}
		}
		answers, err := a.storeEndsIn(ctx, ends)
		if err != nil {
			a.cfg.Logger.Warn("jobs not given back", "jobs", len(batch), "error", err)
			continue
		}
		for _, answer := range answers {
			if answer.Err == nil {
				a.afterEnd(answer.Job)
			}
		}
	}
}
