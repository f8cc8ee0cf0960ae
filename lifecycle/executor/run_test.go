package executor_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// The tests of Run happen in bubbles of package synctest: its clock is the real one there, and a goroutine that is left
// when a test ends fails it.

// bubble is a fleet in a bubble. Its workspaces are due from now on; deadlines count from start.
func bubble(t *testing.T, run func(f *fleet, start time.Time)) {
	synctest.Test(t, func(t *testing.T) {
		run(&fleet{T: t, store: memory.New(), ctx: t.Context()}, time.Now().UTC())
	})
}

// run starts Run and returns what ends it and gives its error.
func (f *fleet) run(cfg executor.Config, over lifecycle.Store) (e *executor.Executor, stop func() error) {
	f.Helper()
	if over == nil {
		over = f.store
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	e, err := executor.New(over, cfg)
	f.must(err)
	ctx, cancel := context.WithCancel(f.ctx)
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	synctest.Wait()
	return e, func() error { cancel(); return <-ended }
}

// addDue adds a running workspace with a deadline; the wake is right.
func (f *fleet) addDue(n int, end time.Time) {
	f.Helper()
	started := time.Now().UTC()
	f.add(numbered(n, running(deadline(end), workspace(func(w *lifecycle.Workspace) { w.WakeAt, w.CreatedAt, w.LastUsedAt = end, started, started }),
		build(func(b *lifecycle.Build) { b.CreatedAt, b.CompletedAt, b.RunSince = started, started, started }))))
}

// stoppedAt waits until workspace n has its stop, and returns when it was decided.
func (f *fleet) stoppedAt(n int, within time.Duration) time.Time {
	f.Helper()
	for range int(within/time.Millisecond) + 1 {
		if b := f.load(n).Build; b.Number == 2 {
			return b.CreatedAt
		}
		time.Sleep(time.Millisecond) // the bubble's clock
	}
	f.Fatalf("workspace %d was not stopped within %v", n, within)
	return time.Time{}
}

func TestRunByInterval(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(90*time.Second))
		stats := make(chan executor.Stats)
		_, stop := f.run(executor.Config{StatsC: stats}, nil)
		for n, want := range []int{0, 1, 0} {
			s := <-stats
			if at := start.Add(time.Duration(n+1) * time.Minute); !s.At.Equal(at) || len(s.Transitions) != want {
				t.Errorf("tick %d at %v: %d transitions, want %d at %v", n, s.At, len(s.Transitions), want, at)
			}
		}
		f.must(stop())
	})
}

func TestRunByTheHostsTicks(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(time.Hour))
		ticks, stats := make(chan time.Time), make(chan executor.Stats)
		e, err := executor.New(f.store, executor.Config{Tick: ticks, StatsC: stats})
		f.must(err)
		ended := make(chan error)
		go func() { ended <- e.Run(f.ctx) }()
		ticks <- start.Add(time.Hour - time.Minute)
		wantStats(t, <-stats, 0, 0, 0)
		ticks <- start.Add(time.Hour)
		wantStats(t, <-stats, 1, 0, 0)
		close(ticks) // ends Run, and all that it started
		f.must(<-ended)
	})
}

// A precise Run meets a deadline within 50 ms.
func TestRunPrecisely(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		for n := 1; n <= 3; n++ {
			f.addDue(n, start.Add(time.Duration(n)*1234567*us))
		}
		_, stop := f.run(executor.Config{Precise: true}, nil)
		for n := 1; n <= 3; n++ {
			end := f.load(n).Build.Deadline
			if late := f.stoppedAt(n, 5*time.Second).Sub(end); late < 0 || late > 50*time.Millisecond {
				t.Errorf("workspace %d stopped %v after its deadline", n, late)
			}
		}
		f.must(stop())
	})
}

// unwatched hides that the store announces changes.
type unwatched struct {
	lifecycle.Store
	lifecycle.Waker
}

// A change made by another replica is noticed: at once if the store announces it, else within the interval.
func TestRunPreciselyWithOtherReplicas(t *testing.T) {
	for name, c := range map[string]struct {
		over func(*memory.Store) lifecycle.Store
		late time.Duration
	}{
		"watched":   {func(s *memory.Store) lifecycle.Store { return s }, 50 * time.Millisecond},
		"unwatched": {func(s *memory.Store) lifecycle.Store { return unwatched{s, s} }, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(f *fleet, start time.Time) {
				_, stop := f.run(executor.Config{Precise: true, Interval: 20 * time.Second}, c.over(f.store))
				time.Sleep(3 * time.Second)
				end := time.Now().Add(time.Second)
				f.addDue(1, end)
				if late := f.stoppedAt(1, time.Minute).Sub(end); late < 0 || late > c.late {
					t.Errorf("stopped %v after the deadline", late)
				}
				f.must(stop())
			})
		})
	}
}

// A change through the executor itself is noticed at once.
func TestRunPreciselyAfterAnUpdate(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(10*time.Hour))
		e, stop := f.run(executor.Config{Precise: true, Interval: time.Hour}, unwatched{f.store, f.store})
		time.Sleep(time.Second)
		end := time.Now().Add(29*time.Minute + time.Second)
		_, err := e.Update(f.ctx, id(1), lifecycle.SetDeadline(end))
		f.must(err)
		time.Sleep(29 * time.Minute)
		if late := f.stoppedAt(1, time.Minute).Sub(end); late < 0 || late > 50*time.Millisecond {
			t.Errorf("stopped %v after the deadline", late)
		}
		f.must(stop())
	})
}

// A coarse granularity makes a precise Run tick on its whole instants, not all the time.
func TestRunPreciselyWithACoarseGranularity(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(30*time.Second))
		ticks := &counter{}
		store := &hooked{Store: f.store, due: func() error { ticks.add("due"); return nil }}
		_, stop := f.run(executor.Config{Precise: true, Granularity: time.Minute, Interval: time.Hour}, store)
		f.stoppedAt(1, 2*time.Minute)
		f.must(stop())
		if n := ticks.get("due"); n > 4 {
			t.Errorf("%d ticks in a minute", n)
		}
	})
}

// While the store fails a precise Run waits an interval, and recovers.
func TestRunPreciselyThroughAnOutage(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start)
		calls := &counter{}
		store := &hooked{Store: f.store}
		store.due = func() error {
			if calls.add("due"); calls.get("due") <= 5 {
				return lifecycle.ErrUnavailable
			}
			return nil
		}
		_, stop := f.run(executor.Config{Precise: true}, store)
		if at := f.stoppedAt(1, time.Minute); at.Sub(start) != 5*time.Second {
			t.Errorf("recovered after %v, want five intervals of a second", at.Sub(start))
		}
		f.must(stop())
	})
}

// An ended context in the middle of a tick: Run returns, what was committed is whole, the rest stays due, nothing is left
// running, and the next executor does the rest once.
func TestCancelInTheMiddleOfATick(t *testing.T) {
	for _, after := range []int{0, 1, 3} {
		bubble(t, func(f *fleet, start time.Time) {
			for n := 1; n <= 20; n++ {
				f.addDue(n, start)
			}
			ctx, cancel := context.WithCancel(f.ctx)
			commits := 0
			store := &hooked{Store: f.store}
			store.commit = func([]lifecycle.Change) error {
				if commits++; commits > after {
					cancel()
				}
				return ctx.Err()
			}
			e, err := executor.New(store, executor.Config{Interval: time.Second, BatchSize: 4, CommitsInFlight: 1, Builder: rejectedOne(0, nil)})
			f.must(err)
			f.must(e.Run(ctx))
			done := f.queued(20)
			if done > 4*after || len(f.jobs()) < done {
				t.Errorf("after %d commits: %d stops, %d jobs", after, done, len(f.jobs()))
			}
			again, err := executor.New(f.store, executor.Config{})
			f.must(err)
			wantStats(t, again.Tick(f.ctx, start.Add(time.Minute)), 20-done, 0, 0)
			if f.queued(20) != 20 {
				t.Errorf("%d stops in the end", f.queued(20))
			}
		})
	}
}

// The context of a builder that waits ends with Run's; its workspaces are not at fault.
func TestCancelWhileBuilding(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start)
		f.addDue(2, start)
		_, stop := f.run(executor.Config{Precise: true, BuildTimeout: time.Hour, Builder: executor.BuilderFunc(func(ctx context.Context, _ executor.BuildRequest) (executor.BuildSpec, error) {
			<-ctx.Done()
			return executor.BuildSpec{}, ctx.Err()
		})}, nil)
		f.must(stop())
		if w := f.load(1).Workspace; w.Backoff.Attempts != 0 || f.queued(2) != 0 {
			t.Errorf("backs off %+v, %d stops", w.Backoff, f.queued(2))
		}
	})
}

// Run works once: neither beside another one nor after it.
func TestRunTwice(t *testing.T) {
	bubble(t, func(f *fleet, _ time.Time) {
		e, stop := f.run(executor.Config{}, nil)
		if err := e.Run(f.ctx); !errors.Is(err, executor.ErrAlreadyRun) {
			t.Errorf("a second Run: %v", err)
		}
		f.must(stop())
		if err := e.Run(f.ctx); !errors.Is(err, executor.ErrAlreadyRun) {
			t.Errorf("a Run after the first: %v", err)
		}
	})
}

// Run ends without an error when its context does, whatever it is in the middle of, and leaves no goroutine: the bubble
// fails the test if it does.
func TestRunEndsWithItsContext(t *testing.T) {
	receive := func(context.Context, lifecycle.Event) error { return nil }
	for name, cfg := range map[string]executor.Config{
		"interval": {Auditor: receive, Notifier: receive, Retention: time.Hour, EventRetention: time.Hour},
		"precise":  {Precise: true, Poster: receive, Retention: time.Hour, EventRetention: time.Hour},
		"channel":  {Auditor: receive},
	} {
		for _, after := range []time.Duration{0, time.Second, 61 * time.Minute} {
			t.Run(name+" "+after.String(), func(t *testing.T) {
				bubble(t, func(f *fleet, start time.Time) {
					if name == "channel" {
						cfg.Tick = make(chan time.Time)
					}
					f.addDue(1, start.Add(time.Second))
					_, stop := f.run(cfg, nil)
					time.Sleep(after)
					f.must(stop())
				})
			})
		}
	}
	t.Run("ended before", func(t *testing.T) {
		bubble(t, func(f *fleet, start time.Time) {
			ctx, cancel := context.WithCancel(f.ctx)
			cancel()
			f.must(f.executor(executor.Config{Auditor: receive, Clock: quartz.NewReal()}, nil).Run(ctx))
		})
	})
}

// Starting and stopping in quick succession leaves nothing behind.
func TestRunStress(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		for n := 1; n <= 30; n++ {
			f.addDue(n, start.Add(time.Duration(n)*time.Second))
		}
		cfg := executor.Config{Precise: true, Notifier: func(context.Context, lifecycle.Event) error { return nil }, Retention: time.Hour}
		for range 60 {
			_, stop := f.run(cfg, nil)
			time.Sleep(time.Second)
			f.must(stop())
		}
		if f.queued(30) != 30 {
			t.Errorf("%d stops", f.queued(30))
		}
	})
}

// Stats that nobody receives hold up the ticks, not the end of Run.
func TestStatsThatNobodyTakes(t *testing.T) {
	bubble(t, func(f *fleet, _ time.Time) {
		_, stop := f.run(executor.Config{StatsC: make(chan executor.Stats), Interval: time.Second}, nil)
		time.Sleep(5 * time.Second)
		f.must(stop())
	})
}

// One workspace that stays due, because somebody holds its row, has a precise Run tick by its interval, and not without end.
func TestRunPreciselyBesideOneThatStaysDue(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start)
		stats := make(chan executor.Stats, 100)
		_, stop := f.run(executor.Config{Precise: true, StatsC: stats}, wrapping{&lockedRow{Store: f.store, id: id(1)}, f.store})
		time.Sleep(10*time.Second + 500*time.Millisecond)
		f.must(stop())
		if n := len(stats); n != 11 {
			t.Errorf("%d ticks in ten seconds", n)
		}
	})
}
