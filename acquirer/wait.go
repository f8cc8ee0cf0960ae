package acquirer

import (
	"context"
	"fmt"
	"iter"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
	"github.com/dormouse-go/dormouse/invalid"
)

// MaxSlots bounds the jobs of one [Acquirer.AcquireJobs].
const MaxSlots = 1000

// call is one AcquireJob or AcquireJobs: the waiters of one caller.
type call struct {
	request queue.Request
	waiters []dispatch.Waiter
	one     [1]dispatch.Waiter // the waiters, if it is one: most calls are for one job
	// answers receives the jobs and at most one error. It has room for all, so that nobody who holds the lock waits.
	answers chan answer
	// gone: the caller has left and takes no further answer. Guarded by Acquirer.mu.
	gone bool
}

// answer is what one waiter gets.
type answer struct {
	job *queue.Job
	err error
}

func callOf(w *dispatch.Waiter) *call { return w.Owner.(*call) }

// fail gives the error to the caller, once.
func (c *call) fail(err error) {
	if len(c.answers) < cap(c.answers) {
		c.answers <- answer{err: err}
	}
}

// drain takes the answers that are there; nobody sends more.
func (c *call) drain() (jobs []queue.Job) {
	for {
		select {
		case got := <-c.answers:
			if got.err == nil {
				jobs = append(jobs, *got.job)
			}
		default:
			return jobs
		}
	}
}

// AcquireJob waits until a job that the worker can run is its own, and returns it. The job's lease lives until
// [Acquirer.End], as long as this process lives and, if the request says so, the worker is not silent.
//
// The error is ctx's, [queue.ErrStopped], or a [*invalid.Error] for a bad request. With an error nothing is left behind: a
// job that was on its way goes to somebody else. Errors of the store do not end the waiting. Before Run is called,
// AcquireJob waits.
func (a *Acquirer) AcquireJob(ctx context.Context, r Request) (Job, error) {
	c, first, err := a.wait(ctx, r, 1)
	switch {
	case err != nil:
		return Job{}, err
	case first.err == nil: // whoever has got the only job it waited for has left the line
		return *first.job, nil
	}
	jobs, err := a.collect(c, first)
	if err != nil {
		return Job{}, err
	}
	return jobs[0], nil
}

// AcquireJobs is [Acquirer.AcquireJob] for a worker with several free slots: it waits for the first job and
// returns all that came together with it, at least one and at most slots, which is at most [MaxSlots].
func (a *Acquirer) AcquireJobs(ctx context.Context, r Request, slots int) ([]Job, error) {
	c, first, err := a.wait(ctx, r, slots)
	if err != nil {
		return nil, err
	}
	return a.collect(c, first)
}

// wait puts a call in line and waits for its first answer.
func (a *Acquirer) wait(ctx context.Context, r Request, slots int) (*call, answer, error) {
	domain, err := a.domains.of(r)
	switch {
	case err != nil:
		return nil, answer{}, err
	case slots < 1 || slots > MaxSlots:
		return nil, answer{}, invalid.New("slots", slots, "must be between 1 and %d", MaxSlots)
	case ctx.Err() != nil:
		return nil, answer{}, ctx.Err()
	}
	c := &call{request: r, answers: make(chan answer, slots+1)}
	if err := a.join(c, domain, slots); err != nil {
		return nil, answer{}, err
	}
	select {
	case first := <-c.answers:
		return c, first, nil
	case <-ctx.Done():
		a.abandon(c)
		return nil, answer{}, ctx.Err()
	}
}

// Jobs is a stream of jobs for one slot: each turn of the loop waits for a job. It ends with an error, which
// is the last thing it yields; leaving the loop ends the waiting.
func (a *Acquirer) Jobs(ctx context.Context, r Request) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
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
func (a *Acquirer) join(c *call, domain queue.Domain, slots int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.member.state >= draining {
		return queue.ErrStopped
	}
	if !a.dispatch.Room(domain) {
		return fmt.Errorf("acquirer: the workers of organization %s differ in more than %d ways: %w",
			domain.Organization, dispatch.MaxDomains, queue.ErrTooMany)
	}
	if c.waiters = c.one[:]; slots > 1 {
		c.waiters = make([]dispatch.Waiter, slots)
	}
	for i := range c.waiters {
		c.waiters[i] = dispatch.Waiter{Worker: c.request.Worker, Owner: c}
		a.dispatch.Join(&c.waiters[i], domain)
	}
	a.shares.Seen(domain.Organization)
	a.lookSoon(domain.Organization)
	return nil
}

// collect takes what came together with the first answer and leaves the line.
func (a *Acquirer) collect(c *call, first answer) ([]queue.Job, error) {
	a.leaveLine(c)
	var jobs []queue.Job
	if first.err == nil {
		jobs = append(jobs, *first.job)
	}
	if jobs = append(jobs, c.drain()...); len(jobs) > 0 {
		return jobs, nil
	}
	return nil, first.err
}

// abandon leaves the line; what was won in the same instant goes to somebody else.
func (a *Acquirer) abandon(c *call) {
	a.leaveLine(c)
	if jobs := c.drain(); len(jobs) > 0 {
		a.giveBack(c.waiters[0].Domain(), jobs)
	}
}

func (a *Acquirer) leaveLine(c *call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.gone = true
	now := a.clock.Now()
	for i := range c.waiters {
		c.waiters[i].Leave(now)
	}
}
