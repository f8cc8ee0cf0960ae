package executor_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// gauge knows how many are at something, and how many were at most.
type gauge struct {
	mu        sync.Mutex
	now, most int
}

func (g *gauge) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now++
	g.most = max(g.most, g.now)
}

func (g *gauge) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now--
}

// measured is a store that notes how it is called.
type measured struct {
	*memory.Store
	mu      sync.Mutex
	limit   time.Duration // of a call
	page    int
	batch   int
	commits gauge
}

func (m *measured) Due(ctx context.Context, q lifecycle.DueQuery) ([]lifecycle.Snapshot, error) {
	m.mu.Lock()
	at, _ := ctx.Deadline()
	m.limit, m.page = time.Until(at), q.Limit
	m.mu.Unlock()
	return m.Store.Due(ctx, q)
}

func (m *measured) BatchSize() int { return 0 } // it leaves it to the executor

func (m *measured) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	m.commits.enter()
	defer m.commits.leave()
	m.mu.Lock()
	m.batch = max(m.batch, len(changes))
	m.mu.Unlock()
	time.Sleep(time.Second)
	return m.Store.Commit(ctx, now, changes)
}

// limitOf is how long a hook may take.
func limitOf(ctx context.Context) time.Duration {
	at, _ := ctx.Deadline()
	return time.Until(at)
}

// The zero configuration is what its fields say.
func TestDefaults(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		for n := 1; n <= 1200; n++ {
			f.addDue(n, start)
		}
		store := &measured{Store: f.store}
		var builds gauge
		var mu sync.Mutex
		limits := map[string]time.Duration{}
		note := func(what string, ctx context.Context) {
			mu.Lock()
			defer mu.Unlock()
			limits[what] = limitOf(ctx)
		}
		e := f.executor(executor.Config{
			Builder: executor.BuilderFunc(func(ctx context.Context, _ executor.BuildRequest) (executor.BuildSpec, error) {
				builds.enter()
				defer builds.leave()
				note("build", ctx)
				time.Sleep(time.Millisecond)
				return executor.BuildSpec{}, nil
			}),
			Auditor: func(ctx context.Context, _ lifecycle.Event) error { note("delivery", ctx); return nil },
		}, store)
		wantStats(t, e.Tick(f.ctx, start.Add(time.Minute)), 1200, 0, 0)
		f.relay(e, 1200)
		if store.page != 1000 || store.batch != 100 || store.commits.most != 2 || builds.most != 10 {
			t.Errorf("pages of %d, batches of %d, %d commits and %d builds at a time", store.page, store.batch, store.commits.most, builds.most)
		}
		for what, want := range map[string]time.Duration{"build": 30 * time.Second, "delivery": 20 * time.Second} {
			if limits[what] != want {
				t.Errorf("a %s may take %v, want %v", what, limits[what], want)
			}
		}
		if store.limit != 30*time.Second {
			t.Errorf("a call of the store may take %v", store.limit)
		}
	})
}

// Run ticks once a minute, and a precise one looks at what others do once a second; events of others are found after five seconds.
func TestDefaultIntervals(t *testing.T) {
	for precise, want := range map[bool]time.Duration{false: time.Minute, true: time.Second} {
		bubble(t, func(f *fleet, start time.Time) {
			stats := make(chan executor.Stats, 10)
			_, stop := f.run(executor.Config{Precise: precise, StatsC: stats}, unwatched{f.store, f.store})
			if precise {
				<-stats // the first is at once
			}
			for n := 1; n <= 3; n++ {
				if s := <-stats; !s.At.Equal(start.Add(time.Duration(n) * want)) {
					t.Errorf("precise %t: tick %d at %v", precise, n, s.At.Sub(start))
				}
			}
			f.must(stop())
		})
	}
	bubble(t, func(f *fleet, start time.Time) {
		got := make(chan time.Time, 1)
		_, stop := f.run(executor.Config{Auditor: func(context.Context, lifecycle.Event) error { got <- time.Now(); return nil }}, nil)
		f.waiting(1, 1)
		if after := (<-got).Sub(start); after != 5*time.Second {
			t.Errorf("an event of another process is delivered after %v", after)
		}
		f.must(stop())
	})
}

// A precise executor knows microseconds.
func TestDefaultGranularity(t *testing.T) {
	f := newFleet(t)
	for precise, want := range map[bool]time.Time{false: monday, true: monday.Add(us)} {
		if at := f.executor(executor.Config{Precise: precise}, nil).Tick(f.ctx, monday.Add(us)).At; !at.Equal(want) {
			t.Errorf("precise %t: a tick at %v", precise, at)
		}
	}
}

// The granularity may be a microsecond or an hour, and as long as the interval; a host that ticks itself may have it longer.
func TestGranularities(t *testing.T) {
	f := newFleet(t)
	for _, c := range []struct {
		cfg executor.Config
		ok  bool
	}{
		{executor.Config{Granularity: us}, true},
		{executor.Config{Granularity: time.Hour, Interval: time.Hour}, true},
		{executor.Config{Granularity: time.Minute, Interval: time.Minute}, true},
		{executor.Config{Granularity: time.Hour, Precise: true}, true},
		{executor.Config{Granularity: time.Hour, Tick: make(chan time.Time)}, true},
		{executor.Config{Granularity: us - 1}, false},
		{executor.Config{Granularity: time.Hour + 1, Interval: day}, false},
		{executor.Config{Granularity: time.Minute + 1, Interval: time.Minute}, false},
		{executor.Config{Granularity: -1}, false},
	} {
		if _, err := executor.New(f.store, c.cfg); (err == nil) != c.ok {
			t.Errorf("granularity %v, interval %v, precise %t: %v", c.cfg.Granularity, c.cfg.Interval, c.cfg.Precise, err)
		}
	}
}

// bytesOf reads as the same byte for ever.
type bytesOf byte

func (b bytesOf) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

// The id of a build is a UUID of version 7: the instant of its decision, and what the host's source gives.
func TestIDsOfBuilds(t *testing.T) {
	for random, want := range map[bytesOf]string{0: "-7000-8000-000000000000", 0xff: "-7fff-bfff-ffffffffffff"} {
		f := newFleet(t)
		f.add(numbered(1, stopped()))
		at := time.Unix(0x123456789, 0).Add(time.Millisecond)
		f.clock.Set(at.Add(us))
		s, err := f.client(executor.ClientConfig{Rand: random}).Update(f.ctx, id(1), lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil))
		f.must(err)
		millis := uuid.UUID{}
		for i, n := 5, at.UnixMilli(); i >= 0; i, n = i-1, n>>8 {
			millis[i] = byte(n)
		}
		if got := s.Build.ID.String(); got != millis.String()[:13]+want {
			t.Errorf("id %s, want %s%s", got, millis.String()[:13], want)
		}
	}
}

// The context of a hook ends with its call, whatever clock the host has, so that what the hook has begun ends too.
func TestContextsOfHooksEnd(t *testing.T) {
	check := func(t *testing.T, f *fleet, e *executor.Executor, ctxs *[]context.Context, at time.Time) {
		e.Tick(f.ctx, at)
		f.relay(e, 1)
		if len(*ctxs) != 3 {
			t.Fatalf("%d hooks were called", len(*ctxs))
		}
		for n, ctx := range *ctxs {
			if !errors.Is(ctx.Err(), context.Canceled) {
				t.Errorf("the context of hook %d after its call: %v", n, ctx.Err())
			}
		}
	}
	hooks := func() (*[]context.Context, executor.Config) {
		ctxs := &[]context.Context{}
		note := func(ctx context.Context) {
			if ctx.Err() != nil {
				t.Errorf("a hook is called with a context that has ended: %v", ctx.Err())
			}
			*ctxs = append(*ctxs, ctx)
		}
		return ctxs, executor.Config{
			Available: func(ctx context.Context, _ executor.Group) (bool, error) { note(ctx); return true, nil },
			Builder: executor.BuilderFunc(func(ctx context.Context, _ executor.BuildRequest) (executor.BuildSpec, error) {
				note(ctx)
				return executor.BuildSpec{}, nil
			}),
			Auditor: func(ctx context.Context, _ lifecycle.Event) error { note(ctx); return nil },
		}
	}
	t.Run("real clock", func(t *testing.T) {
		bubble(t, func(f *fleet, start time.Time) {
			f.addDue(1, start)
			ctxs, cfg := hooks()
			check(t, f, f.executor(cfg, nil), ctxs, start.Add(time.Minute))
		})
	})
	t.Run("mock clock", func(t *testing.T) {
		f := newFleet(t)
		f.add(dueStops(1)...)
		ctxs, cfg := hooks()
		check(t, f, f.executor(cfg, nil), ctxs, monday)
	})
}

// What succeeds after its time and before it is given up has succeeded.
func TestLateButThere(t *testing.T) {
	bubble(t, func(f *fleet, _ time.Time) {
		f.add(numbered(1, stopped()))
		c, err := executor.NewClient(lateStore{f.store}, executor.ClientConfig{Logger: quiet, StoreTimeout: 4 * time.Second})
		f.must(err)
		if s, err := c.Load(f.ctx, id(1)); err != nil || s.Workspace.ID != id(1) {
			t.Errorf("%v, error %v", s.Workspace.ID, err)
		}
	})
}

// A tick waits for another one for as long as its context lasts.
func TestATickWaitsForAnother(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		release := make(chan struct{})
		e := f.executor(executor.Config{}, &hooked{Store: f.store, due: func() error { <-release; return nil }})
		go e.Tick(f.ctx, start)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(f.ctx, time.Second)
		defer cancel()
		at := start.Add(time.Hour)
		if s := e.Tick(ctx, at); !errors.Is(s.Err, context.DeadlineExceeded) || !s.At.Equal(at) || time.Since(start) != time.Second {
			t.Errorf("at %v, error %v after %v", s.At, s.Err, time.Since(start))
		}
		close(release)
	})
}

// lateStore says what it has read some seconds later, whatever its context says.
type lateStore struct{ *memory.Store }

func (s lateStore) Load(ctx context.Context, ids ...uuid.UUID) ([]lifecycle.Snapshot, error) {
	found, err := s.Store.Load(ctx, ids...)
	time.Sleep(6 * time.Second)
	return found, err
}
