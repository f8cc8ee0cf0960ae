package worker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/invalid"
)

// slots run the jobs of a worker. Each is carried by a goroutine, which waits for a job, runs it and stores its end. A goroutine
// whose end may go on its way beside the next job passes its slot on to another, and takes up one that comes free later: making a
// goroutine for each job, whose stack grows anew, would cost more than a short job does.
type slots struct {
	*Worker
	// ctx ends the waiting for jobs, running the jobs.
	ctx, running context.Context
	leave        context.CancelFunc
	carriers     sync.WaitGroup
	// free hands a slot to a goroutine that has passed its own on; idle is how many wait there.
	free chan struct{}
	idle atomic.Int64
	// ending has room for the ends on their way whose slots were passed on.
	ending chan struct{}

	once sync.Once
	err  error // why the source ended
}

func newSlots(w *Worker, ctx, running context.Context, leave context.CancelFunc) *slots {
	return &slots{Worker: w, ctx: ctx, running: running, leave: leave, free: make(chan struct{}), ending: make(chan struct{}, w.cfg.Ending)}
}

// begin lets a new goroutine carry a slot.
func (s *slots) begin() { s.carriers.Go((&carrier{slots: s, holds: true}).run) }

// wait returns when no job is left and all ends are stored, with the error with which the source has ended.
func (s *slots) wait() error {
	s.carriers.Wait()
	return s.err
}

// acquire waits for a job; false: the slot is not needed any more.
func (s *slots) acquire() (queue.Job, bool) {
	for failures := 0; ; failures++ {
		job, err := s.source.AcquireJob(s.ctx, s.request)
		switch {
		case err == nil && s.ctx.Err() != nil: // won in the last moment
			s.end(s.running, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeReleased})
			return queue.Job{}, false
		case err == nil:
			return job, true
		case s.ctx.Err() != nil:
			return queue.Job{}, false
		case errors.Is(err, queue.ErrStopped) || errors.Is(err, invalid.Err):
			s.once.Do(func() { s.err = err })
			s.leave()
			return queue.Job{}, false
		}
		s.cfg.Logger.Warn("worker got no job", "error", err)
		s.pause(s.ctx, backoff.Doubled(100*time.Millisecond, failures, 10*time.Second))
	}
}

// carrier is a goroutine that carries a slot, or has passed it on.
type carrier struct {
	*slots
	holds bool
}

// run carries slots until none is needed. A handler that ends the goroutine does not take the slot along.
func (c *carrier) run() {
	returned := false
	defer func() {
		if !returned && c.holds {
			c.begin()
		}
	}()
	for c.holds || c.takeUp() {
		job, ok := c.acquire()
		if !ok {
			break
		}
		c.work(c.running, newTask(job), c.passOn)
	}
	returned = true
}

// passOn gives the slot away if one more end may be on its way beside it; the returned function is to be called when that is
// stored.
func (c *carrier) passOn() (stored func()) {
	select {
	case c.ending <- struct{}{}:
	default:
		return func() {}
	}
	c.holds = false
	select {
	case c.free <- struct{}{}:
	default:
		c.begin()
	}
	return func() { <-c.ending }
}

// takeUp waits for a slot that somebody passes on. As many goroutines wait as there are slots; what a burst had in addition ends.
func (c *carrier) takeUp() bool {
	defer c.idle.Add(-1)
	if c.idle.Add(1) > int64(c.cfg.Slots) {
		return false
	}
	select {
	case <-c.free:
		c.holds = true
	case <-c.ctx.Done():
	}
	return c.holds
}
