package executor_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// slowly is a store that takes its time, unless the context of a call ends before.
type slowly struct {
	lifecycle.Store
	load, commit time.Duration
	once         bool      // only the first commit takes its time
	refuse       uuid.UUID // whose changes it does not take
	commits      int
}

func (s *slowly) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slowly) Load(ctx context.Context, ids ...uuid.UUID) ([]lifecycle.Snapshot, error) {
	if err := s.wait(ctx, s.load); err != nil {
		return nil, err
	}
	return s.Store.Load(ctx, ids...)
}

func (s *slowly) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	if s.commits++; s.commits == 1 || !s.once {
		if err := s.wait(ctx, s.commit); err != nil {
			return nil, err
		}
	}
	for i := range changes {
		if changes[i].Workspace.ID == s.refuse {
			return nil, errBroken
		}
	}
	return s.Store.Commit(ctx, now, changes)
}

// A flush has the time of two calls of the store, however many its batches need.
func TestHowLongAFlushTakes(t *testing.T) {
	for name, c := range map[string]struct {
		store slowly
		took  time.Duration
		fails bool
	}{
		"two slow calls":            {slowly{load: 1900 * time.Millisecond, commit: 1900 * time.Millisecond}, 3800 * time.Millisecond, false},
		"many calls":                {slowly{commit: 1900 * time.Millisecond, refuse: id(7)}, 8 * time.Second, true},
		"a call longer than it may": {slowly{load: 2100 * time.Millisecond}, 4 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(f *fleet, start time.Time) {
				f.addRunning(100, start)
				time.Sleep(time.Minute)
				c.store.Store = f.store
				client, err := executor.NewClient(&c.store, executor.ClientConfig{Logger: quiet, StoreTimeout: 2 * time.Second})
				f.must(err)
				began := time.Now()
				f.users(100, client, began)
				err = client.FlushActivity(f.ctx)
				var late *executor.TimeoutError
				if c.fails != (errors.As(err, &late) && errors.Is(err, lifecycle.ErrUnavailable)) {
					t.Errorf("error %v", err)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
			})
		})
	}
}

// A flush whose batch took too long, and whose halves did not, has written everything, and says so.
func TestAFlushThatWritesAllInTheEnd(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addRunning(30, start)
		time.Sleep(time.Minute)
		at := time.Now().UTC()
		store := &slowly{Store: f.store, commit: time.Hour, once: true}
		c, err := executor.NewClient(store, executor.ClientConfig{Logger: quiet, StoreTimeout: 2 * time.Second})
		f.must(err)
		f.users(30, c, at)
		f.must(c.FlushActivity(f.ctx))
		if left := f.unwritten(30, at); len(left) != 0 || store.commits != 3 {
			t.Errorf("left %v after %d commits, want one and its halves", left, store.commits)
		}
	})
}

// A tick waits some seconds at most for a store that takes no activity, and for a flush of somebody else only if it has something
// to write itself.
func TestATickBesideASlowFlush(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addRunning(100, start)
		time.Sleep(time.Minute)
		store := &slowly{Store: f.store, commit: time.Hour}
		e := f.executor(executor.Config{Clock: quartz.NewReal(), StoreTimeout: 30 * time.Second}, store)
		f.users(100, e.Client, time.Now())
		time.Sleep(10 * time.Second)
		if s := e.Tick(f.ctx, time.Now()); s.Err != nil || s.Elapsed != 8*time.Second {
			t.Errorf("a tick took %v, error %v", s.Elapsed, s.Err)
		}

		flushed := make(chan error, 1)
		go func() { flushed <- e.FlushActivity(f.ctx) }()
		time.Sleep(20 * time.Second)
		if s := e.Tick(f.ctx, time.Now()); s.Err != nil || s.Elapsed != 0 {
			t.Errorf("a tick with nothing to do took %v, error %v", s.Elapsed, s.Err)
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(f.ctx, time.Second)
		defer cancel()
		if err := e.FlushActivity(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("a flush whose time ended while it waited for another: %v after %v", err, time.Since(began))
		}
		if err := <-flushed; err == nil {
			t.Error("the flush that could write nothing says that it did")
		}
	})
}

// What nobody suspects is written before what hung in an earlier flush, and what hung in a larger batch before the rest.
func TestAFlushBeginsWithWhatNobodySuspects(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		const bad, others = 8, 5
		f.addRunning(bad+others, start)
		time.Sleep(time.Minute)
		store := &tough{Store: f.store, bad: []int{1, 2, 3, 4, 5, 6, 7, 8}}
		c, err := executor.NewClient(store, executor.ClientConfig{Logger: quiet, StoreTimeout: 2 * time.Second, BatchSize: bad})
		f.must(err)
		f.users(bad, c, time.Now())
		_ = c.FlushActivity(f.ctx)
		for range 4 { // the same again and again: their order is not that of a map
			at := time.Now().UTC()
			for n := bad + 1; n <= bad+others; n++ {
				c.Activity(id(n), at)
			}
			_ = c.FlushActivity(f.ctx)
			for n := bad + 1; n <= bad+others; n++ {
				if used := f.load(n).Workspace.LastUsedAt; !used.Equal(at) {
					t.Fatalf("workspace %d: last used %v, want %v", n, used, at)
				}
			}
		}
	})
}

// Activity that the store has refused postpones nothing any more.
func TestRefusedActivityPostponesNothing(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, running(policy(bumped), deadline(monday.Add(30*time.Minute)))))
	store := &hooked{Store: f.store, commit: refusing(func(c *lifecycle.Change) bool { return c.Workspace.LastUsedAt.After(monday) })}
	e := f.executor(executor.Config{}, store)
	f.clock.Set(monday.Add(29 * time.Minute))
	e.Activity(id(1), monday.Add(29*time.Minute))
	f.must(e.FlushActivity(f.ctx))
	wantStats(t, e.Tick(f.ctx, monday.Add(30*time.Minute)), 1, 0, 0)
}

// A store that fails is asked once in ActivityFlush by the ticks of a host, not by each of them.
func TestTicksWriteActivityAgainAfterAWhile(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, running(deadline(monday.Add(5*time.Hour)), workspace(func(w *lifecycle.Workspace) { w.WakeAt = monday.Add(5 * time.Hour) }))))
	tries := 0
	log := &logs{}
	e := f.executor(executor.Config{Logger: log.logger()}, &hooked{Store: f.store, load: func() error { tries++; return errBroken }})
	e.Activity(id(1), monday)
	for second := range 41 {
		f.clock.Set(monday.Add(time.Duration(second) * time.Second))
		e.Tick(f.ctx, monday)
	}
	if n := log.count("level=WARN", "flush activity"); tries != 4 || n != 4 {
		t.Errorf("tried %d times in 40 seconds, with %d lines of the log; want once in ten", tries, n)
	}
}

// A process that ends does not complain of the calls that its end has ended.
func TestTheEndIsNoNews(t *testing.T) {
	for _, method := range []string{"count what waits", "subscribe to topics", "compare time zones", "look for locked rows"} {
		t.Run(method, func(t *testing.T) {
			bubble(t, func(f *fleet, start time.Time) {
				f.addDue(1, start)
				store := &sticky{Store: f.store, method: method, heeds: true}
				log := &logs{}
				e := f.executor(executor.Config{Clock: quartz.NewReal(), Logger: log.logger(), Registerer: prometheus.NewRegistry(), Auditor: (&inbox{}).receive}, store)
				defer e.Close()
				ctx, cancel := context.WithCancel(f.ctx)
				go func() {
					synctest.Wait()
					cancel()
				}()
				e.Tick(ctx, start.Add(time.Minute))
				if n := log.count("level=WARN"); n != 0 {
					t.Errorf("%d warnings", n)
				}
			})
		})
	}
}

// A flush whose own time ends says so, and suspects nobody: the next one writes everything together.
func TestAFlushThatIsCanceledSuspectsNobody(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addRunning(50, start)
		time.Sleep(time.Minute)
		at := time.Now().UTC()
		store := &slowly{Store: f.store, commit: time.Hour}
		c, err := executor.NewClient(store, executor.ClientConfig{Logger: quiet})
		f.must(err)
		f.users(50, c, at)
		ctx, cancel := context.WithTimeout(f.ctx, time.Second)
		defer cancel()
		var late *executor.TimeoutError
		if err := c.FlushActivity(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &late) {
			t.Errorf("error %v", err)
		}
		store.commit, store.commits = 0, 0
		f.must(c.FlushActivity(f.ctx))
		if left := f.unwritten(50, at); len(left) != 0 || store.commits != 1 {
			t.Errorf("left %v after %d commits", left, store.commits)
		}
	})
}

// Activity of a workspace whose row somebody holds is tried once by each flush.
func TestActivityOfALockedRowIsTriedOnce(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, running()), numbered(2, running()))
	tries := &slowly{Store: f.store}
	store := &lockedRow{Store: tries, id: id(1)}
	e := f.executor(executor.Config{}, store)
	f.clock.Set(monday.Add(time.Hour))
	for n := 1; n <= 3; n++ {
		e.Activity(id(1), f.clock.Now())
		e.Activity(id(2), f.clock.Now())
		f.must(e.FlushActivity(f.ctx))
		if tries.commits != n {
			t.Errorf("%d commits of %d flushes", tries.commits, n)
		}
		f.clock.Advance(time.Second)
	}
}

// What was written is written again when a minute has passed, and not before.
func TestActivityIsWrittenAgainAfterAMinute(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, running(deadline(monday.Add(5*time.Hour)), workspace(func(w *lifecycle.Workspace) { w.WakeAt = monday.Add(5 * time.Hour) }))))
	e := f.executor(executor.Config{}, nil)
	used := func(d time.Duration, tick time.Duration) time.Time {
		f.clock.Set(monday.Add(d))
		e.Activity(id(1), f.clock.Now())
		f.clock.Set(monday.Add(tick))
		f.must(e.Tick(f.ctx, monday).Err)
		return f.load(1).Workspace.LastUsedAt
	}
	first := monday.Add(time.Second)
	if at := used(time.Second, 11*time.Second); !at.Equal(first) {
		t.Errorf("last used %v", at)
	}
	if at := used(20*time.Second, 71*time.Second-us); !at.Equal(first) {
		t.Errorf("written within a minute: last used %v", at)
	}
	if at := used(71*time.Second-us, 71*time.Second); !at.Equal(monday.Add(71*time.Second - us)) {
		t.Errorf("not written after a minute: last used %v", at)
	}
}
