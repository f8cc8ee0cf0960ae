package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/invalid"
)

// slots run the jobs of a worker. Each is carried by a goroutine, which waits for a job, runs it and stores its end, or lets that go on its
// way beside the next job.
type slots struct {
	*Worker
	// ctx ends the waiting for jobs, running the jobs.
	ctx, running context.Context
	leave        context.CancelFunc
	carriers     sync.WaitGroup
	ends         *ends

	once sync.Once
	err  error // why the source ended
}

func newSlots(w *Worker, ctx, running context.Context, leave context.CancelFunc) *slots {
	return &slots{Worker: w, ctx: ctx, running: running, leave: leave, ends: newEnds(w, running)}
}

// begin lets a new goroutine carry a slot.
func (s *slots) begin() { s.carriers.Go(s.carry) }

// wait returns when no job is left and all ends are stored, with the error with which the source has ended.
func (s *slots) wait() error {
	s.carriers.Wait()
	s.ends.wait()
	return s.err
}

// carry runs job after job until none is wanted any more. A handler that ends the goroutine does not take the slot along.
func (s *slots) carry() {
	returned := false
	defer func() {
		if !returned {
			s.begin()
		}
	}()
	told := make(chan bool, 1)
	ended := func(e queue.End) { s.ends.store(e, told) }
	for {
		job, ok := s.acquire()
		if !ok {
			break
		}
		s.work(s.running, job, ended)
	}
	returned = true
}

// acquire waits for a job; false: the slot is not needed any more.
func (s *slots) acquire() (queue.Job, bool) {
	for failures := 0; ; failures++ {
		job, err := s.source.AcquireJob(s.ctx, s.request)
		switch {
		case err == nil && s.ctx.Err() != nil: // won in the last moment
			s.end(s.running, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeReleased}, s.deliverUntil())
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
