package acquirer

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/batch"
)

const (
	// aloneFor is for how long the calls about a job go alone after one of them took too long.
	aloneFor = time.Minute
	// maxAlone bounds those that are under way: each takes a connection of the store's, perhaps until it is cut off.
	maxAlone = 4
)

// slowJobs are the jobs of calls that took too long. A trigger of the host may take its time over the row of one job; whatever shares a call
// with that one would fail with it, again and again. Which one it is nobody says, so each of them goes alone for a while.
type slowJobs struct {
	places chan struct{}
	// any says that there may be some. Each end and each renewal asks, and hardly ever are there any.
	any atomic.Bool

	mu    sync.Mutex
	until map[uuid.UUID]time.Time
	// over is when the last of them is over.
	over time.Time
}

func newSlowJobs() *slowJobs {
	return &slowJobs{places: make(chan struct{}, maxAlone), until: make(map[uuid.UUID]time.Time)}
}

// note notes the jobs of a call that took too long.
func (s *slowJobs) note(now time.Time, jobs []uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.until, func(_ uuid.UUID, until time.Time) bool { return !now.Before(until) })
	s.over = now.Add(aloneFor)
	for _, job := range jobs {
		s.until[job] = s.over
	}
	s.any.Store(true)
}

func (s *slowJobs) has(clock quartz.Clock, job uuid.UUID) bool {
	if !s.any.Load() {
		return false
	}
	now := clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !now.Before(s.over) {
		clear(s.until)
		s.any.Store(false)
		return false
	}
	return now.Before(s.until[job])
}

// joined makes calls of the store of one kind, each about one job: many share one, but for those about slow jobs.
type joined[I, O any] struct {
	*batch.Batcher[uuid.UUID, I, O]
	a   *Acquirer
	job func(I) uuid.UUID
	// store makes one call, and notes what is slow.
	store func(context.Context, []I) ([]O, error)
}

func join[I, O any](a *Acquirer, job func(I) uuid.UUID, store func(context.Context, []I) ([]O, error)) joined[I, O] {
	j := joined[I, O]{a: a, job: job, store: func(ctx context.Context, in []I) ([]O, error) {
		out, err := store(ctx, in)
		if errors.Is(err, errTooLong) {
			jobs := make([]uuid.UUID, len(in))
			for i := range in {
				jobs[i] = job(in[i])
			}
			a.slow.note(a.clock.Now(), jobs)
		}
		return out, err
	}}
	j.Batcher = batch.New(a.cfg.Batch, job, func(in []I) ([]O, error) { return j.store(context.Background(), in) })
	return j
}

// Do waits for the answer to a request, or for ctx. A request is not withdrawn when ctx ends, unless it still waits for its turn.
func (j joined[I, O]) Do(ctx context.Context, in I) (O, error) {
	if !j.a.slow.has(j.a.clock, j.job(in)) {
		return j.Batcher.Do(ctx, in)
	}
	var none O
	select {
	case j.a.slow.places <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	type answer struct {
		out []O
		err error
	}
	done := make(chan answer, 1)
	go func() {
		out, err := j.store(context.WithoutCancel(ctx), []I{in})
		<-j.a.slow.places
		done <- answer{out, err}
	}()
	select {
	case got := <-done:
		if got.err != nil {
			return none, got.err
		}
		return got.out[0], nil
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
