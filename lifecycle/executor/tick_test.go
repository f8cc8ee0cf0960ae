package executor_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

func TestTickDoesWhatIsDue(t *testing.T) {
	f := newFleet(t)
	f.add(
		numbered(1, running(deadline(monday))),
		numbered(2, stopped(tilDormant(0), autostart("0 9 * * *"), build(func(b *lifecycle.Build) { b.CreatedAt = monday.Add(-us) }))),
		numbered(3, running(deadline(monday.Add(us)))),
		numbered(4, newWorkspace()),
		numbered(5, newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning))),
	)
	s := f.executor(executor.Config{}, nil).Tick(f.ctx, monday)
	wantStats(t, s, 2, 0, 0)
	if s.Transitions[id(1)] != lifecycle.TransitionStop || s.Transitions[id(2)] != lifecycle.TransitionStart {
		t.Errorf("transitions %v", s.Transitions)
	}
	if s.Evaluated != 5 || s.Rearmed != 3 || s.Left != 0 || s.Err != nil || !s.At.Equal(monday) {
		t.Errorf("stats %+v", s)
	}
	for n, wake := range map[int]time.Time{1: {}, 2: {}, 3: monday.Add(us), 4: {}, 5: {}} {
		if got := f.load(n).Workspace.WakeAt; !got.Equal(wake) {
			t.Errorf("workspace %d wakes at %v, want %v", n, got, wake)
		}
	}
	b := f.load(1).Build
	if b.ID == uuid.Nil || b.ID.Version() != 7 || b.Status != lifecycle.JobPending || !b.CreatedAt.Equal(monday) {
		t.Errorf("build %+v", b)
	}
	if jobs := f.jobs(); len(jobs) != 2 || jobs[0].ID != b.ID && jobs[1].ID != b.ID {
		t.Errorf("jobs %+v", jobs)
	}
	if again := f.executor(executor.Config{}, nil).Tick(f.ctx, monday); again.Evaluated != 0 {
		t.Errorf("nothing is due any more, but %d were looked at", again.Evaluated)
	}
}

// remembering is a context that counts who waits for its end.
type remembering struct {
	context.Context
	end             chan struct{}
	waited, waiting atomic.Int64
}

func (c *remembering) Done() <-chan struct{} { return c.end }

func (c *remembering) AfterFunc(func()) (stop func() bool) {
	c.waited.Add(1)
	c.waiting.Add(1)
	return func() bool { return c.waiting.Add(-1) >= 0 }
}

// A tick leaves nothing with the context that it is given: that of a Run is the same for all of them.
func TestATickLeavesNothingWithItsContext(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, running(deadline(monday))))
	ctx := &remembering{Context: f.ctx, end: make(chan struct{})}
	wantStats(t, f.executor(executor.Config{}, nil).Tick(ctx, monday), 1, 0, 0)
	if n := ctx.waiting.Load(); n != 0 || ctx.waited.Load() == 0 {
		t.Errorf("%d of %d still wait for its end", n, ctx.waited.Load())
	}
}

// The instant of a tick is truncated to the granularity: a minute, or as configured.
func TestGranularity(t *testing.T) {
	for _, c := range []struct {
		granularity time.Duration
		tick        time.Time
		stops       int
	}{
		{0, monday.Add(time.Minute - us), 0},
		{0, monday.Add(time.Minute), 1},
		{time.Second, monday.Add(30*time.Second - us), 0},
		{time.Second, monday.Add(30 * time.Second), 1},
		{us, monday.Add(30*time.Second - us), 0},
		{time.Hour, monday.Add(time.Hour - us), 0},
		{time.Hour, monday.Add(time.Hour), 1},
	} {
		f := newFleet(t)
		f.add(numbered(1, running(deadline(monday.Add(30*time.Second)))))
		s := f.executor(executor.Config{Granularity: c.granularity, Interval: max(time.Minute, c.granularity)}, nil).Tick(f.ctx, c.tick)
		if len(s.Transitions) != c.stops {
			t.Errorf("granularity %v at %v: %d stops, want %d", c.granularity, c.tick, len(s.Transitions), c.stops)
		}
	}
}

// A clock that goes backwards finds less to do and harms nothing.
func TestTickWithAClockThatGoesBackwards(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(3)...)
	e := f.executor(executor.Config{}, nil)
	wantStats(t, e.Tick(f.ctx, monday.Add(-day)), 0, 0, 0)
	wantStats(t, e.Tick(f.ctx, monday), 3, 0, 0)
	wantStats(t, e.Tick(f.ctx, monday.Add(-time.Hour)), 0, 0, 0)
	if f.queued(3) != 3 {
		t.Error("each workspace should have its stop")
	}
}

// However small the pages and the batches, each due workspace is done once.
func TestTickInPagesAndBatches(t *testing.T) {
	for _, size := range []struct{ page, batch, inFlight int }{{1, 1, 1}, {2, 3, 1}, {3, 2, 2}, {7, 100, 4}, {1000, 1, 8}} {
		f := newFleet(t)
		f.add(dueStops(20)...)
		s := f.executor(executor.Config{PageSize: size.page, BatchSize: size.batch, CommitsInFlight: size.inFlight}, nil).Tick(f.ctx, monday)
		wantStats(t, s, 20, 0, 0)
		if f.queued(20) != 20 || s.Evaluated != 20 {
			t.Errorf("%+v: %d stops, %d looked at", size, f.queued(20), s.Evaluated)
		}
	}
}

// A page is read while the one before is worked on: a builder that waits for the second page gets it.
func TestPagesAreReadAhead(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(4)...)
	second, reads := make(chan struct{}), 0
	store := &hooked{Store: f.store, due: func() error { // one call at a time
		if reads++; reads == 2 {
			close(second)
		}
		return nil
	}}
	b := &groups{building: func(executor.BuildRequest) (executor.BuildSpec, error) {
		select {
		case <-second:
			return executor.BuildSpec{}, nil
		case <-time.After(time.Minute):
			return executor.BuildSpec{}, errors.New("nobody reads the second page")
		}
	}}
	wantStats(t, f.executor(executor.Config{PageSize: 2, Builder: b}, store).Tick(f.ctx, monday), 4, 0, 0)
}

// A page that cannot be read ends the tick; what the pages before it held is done.
func TestAPageThatCannotBeRead(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(20)...)
	reads := 0
	store := &hooked{Store: f.store, due: func() error {
		if reads++; reads == 3 {
			return errBroken
		}
		return nil
	}}
	s := f.executor(executor.Config{PageSize: 5}, store).Tick(f.ctx, monday)
	wantStats(t, s, 10, 0, 0)
	if !errors.Is(s.Err, errBroken) || f.queued(20) != 10 || reads != 3 {
		t.Errorf("error %v, %d stops, %d reads", s.Err, f.queued(20), reads)
	}
}

// The elapsed time of a tick is that of its work.
func TestElapsed(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	e := f.executor(executor.Config{Builder: executor.BuilderFunc(func(context.Context, executor.BuildRequest) (executor.BuildSpec, error) {
		f.clock.Advance(3 * time.Second)
		return executor.BuildSpec{}, nil
	})}, nil)
	if s := e.Tick(f.ctx, monday); s.Elapsed != 3*time.Second {
		t.Errorf("elapsed %v, want 3s", s.Elapsed)
	}
	if s := e.Tick(f.ctx, monday); s.Elapsed != 0 {
		t.Errorf("elapsed %v, want 0", s.Elapsed)
	}
}

// A tick whose context has ended does nothing and reports it.
func TestTickWithAnEndedContext(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(3)...)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	if s := f.executor(executor.Config{}, nil).Tick(ctx, monday); !errors.Is(s.Err, context.Canceled) || len(s.Transitions) != 0 {
		t.Errorf("stats %+v", s)
	}
	if f.queued(3) != 0 {
		t.Error("a tick without a context did something")
	}
}

// A missed start is counted as skipped, not as an error, and the next occurrence is armed.
func TestTickSkipsAMissedStart(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped(autostart("0 9 * * *"), policy(func(p *lifecycle.Policy) { p.MaxLateness = time.Minute }))))
	s := f.executor(executor.Config{}, nil).Tick(f.ctx, monday.Add(day+time.Hour))
	wantStats(t, s, 0, 1, 0)
	if s.Skipped[id(1)] != lifecycle.SkipMissedWindow || s.Marked != 1 {
		t.Errorf("stats %+v", s)
	}
	if got := f.load(1); !got.Workspace.WakeAt.Equal(monday.Add(2*day)) || got.Build.Number != 1 {
		t.Errorf("wakes %v, build %d", got.Workspace.WakeAt, got.Build.Number)
	}
}

// What needs no build is counted apart.
func TestTickMarks(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped(tilDormant(day))))
	s := f.executor(executor.Config{}, nil).Tick(f.ctx, monday.Add(2*day))
	wantStats(t, s, 0, 0, 0)
	if s.Marked != 1 || f.load(1).Workspace.DormantAt.IsZero() {
		t.Errorf("stats %+v", s)
	}
}

// A store with the three methods alone is enough.
func TestTickOverABareStore(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(2)...)
	wantStats(t, f.executor(executor.Config{}, bare{f.store}).Tick(f.ctx, monday), 2, 0, 0)
}

// Shards of replicas each do their part, and what stays due for an interval is done by whoever comes.
func TestTickOfAShard(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(8)...)
	shard := func(i int) func() lifecycle.Shard {
		return func() lifecycle.Shard { return lifecycle.Shard{Index: i, Count: 2} }
	}
	now := monday.Add(30 * time.Second)
	cfg := func(i int) executor.Config {
		return executor.Config{Shard: shard(i), Granularity: time.Second}
	}
	first := f.executor(cfg(0), nil).Tick(f.ctx, now)
	wantStats(t, first, 4, 0, 0)
	for n := range first.Transitions {
		if !(lifecycle.Shard{Index: 0, Count: 2}).Holds(n) {
			t.Errorf("workspace %v is not of this shard", n)
		}
	}
	wantStats(t, f.executor(cfg(0), nil).Tick(f.ctx, now), 0, 0, 0)
	wantStats(t, f.executor(cfg(0), nil).Tick(f.ctx, monday.Add(time.Minute)), 4, 0, 0) // the other one is late
}

// No commit is larger than the host allows, also while the store is slow and much collects.
func TestBatchSizeIsKept(t *testing.T) {
	for name, b := range map[string]executor.Builder{"no builder": nil, "builder": rejectedOne(0, nil)} {
		for _, inFlight := range []int{1, 2} {
			f := newFleet(t)
			f.add(dueStops(60)...)
			largest, commits := 0, &counter{}
			store := &hooked{Store: f.store, commit: func(changes []lifecycle.Change) error {
				commits.mu.Lock()
				defer commits.mu.Unlock()
				largest = max(largest, len(changes))
				return nil
			}}
			s := f.executor(executor.Config{BatchSize: 4, CommitsInFlight: inFlight, Builder: b, Concurrency: 20}, store).Tick(f.ctx, monday)
			wantStats(t, s, 60, 0, 0)
			if largest > 4 {
				t.Errorf("%s, %d in flight: a commit of %d changes", name, inFlight, largest)
			}
		}
	}
}

// batching is a store that knows how many changes it commits best at a time.
type batching struct {
	*hooked
	size int
}

func (b batching) BatchSize() int { return b.size }

// The batches are as large as configured, else as the store knows, else usual. A wrapper that hides what the store
// knows costs speed alone.
func TestBatchSizeOfTheStore(t *testing.T) {
	for _, c := range []struct {
		name string
		host int
		over func(*hooked) lifecycle.Store
		want int
	}{
		{"the store knows", 0, func(h *hooked) lifecycle.Store { return batching{h, 130} }, 130},
		{"the store knows a small one", 0, func(h *hooked) lifecycle.Store { return batching{h, 3} }, 3},
		{"the host says", 40, func(h *hooked) lifecycle.Store { return batching{h, 130} }, 40},
		{"the store says nothing", 0, func(h *hooked) lifecycle.Store { return batching{h, 0} }, 100},
		{"the store talks nonsense", 0, func(h *hooked) lifecycle.Store { return batching{h, -1} }, 100},
		{"the store has no opinion", 0, func(h *hooked) lifecycle.Store { return h }, 100},
		{"a wrapper hides it", 0, func(h *hooked) lifecycle.Store { return bare{batching{h, 130}} }, 100},
	} {
		f := newFleet(t)
		f.add(dueStops(150)...)
		var mu sync.Mutex
		largest := 0
		store := &hooked{Store: f.store, commit: func(changes []lifecycle.Change) error {
			mu.Lock()
			defer mu.Unlock()
			largest = max(largest, len(changes))
			return nil
		}}
		wantStats(t, f.executor(executor.Config{BatchSize: c.host}, c.over(store)).Tick(f.ctx, monday), 150, 0, 0)
		if largest != c.want {
			t.Errorf("%s: the largest commit had %d changes, want %d", c.name, largest, c.want)
		}
	}
}
