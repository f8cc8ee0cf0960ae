package executor_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// tough is a store whose commits hang when they change certain workspaces.
type tough struct {
	lifecycle.Store
	bad     []int
	commits int
}

func (s *tough) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	s.commits++
	for i := range changes {
		if slices.ContainsFunc(s.bad, func(n int) bool { return changes[i].Workspace.ID == id(n) }) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}
	return s.Store.Commit(ctx, now, changes)
}

// users is a fleet of n workspaces that somebody uses at the same instant.
func (f *fleet) users(n int, c *executor.Client, at time.Time) {
	for i := 1; i <= n; i++ {
		c.Activity(id(i), at)
	}
}

// unwritten are those of n workspaces that do not have their activity.
func (f *fleet) unwritten(n int, at time.Time) (all []int) {
	f.Helper()
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = id(i + 1)
	}
	found, err := f.store.Load(f.ctx, ids...)
	f.must(err)
	written := map[uuid.UUID]bool{}
	for _, s := range found {
		written[s.Workspace.ID] = s.Workspace.LastUsedAt.Equal(at)
	}
	for i, one := range ids {
		if !written[one] {
			all = append(all, i+1)
		}
	}
	return all
}

func (f *fleet) addRunning(n int, start time.Time) {
	f.Helper()
	for i := 1; i <= n; i++ {
		f.addDue(i, start.Add(100*time.Hour))
	}
}

// One workspace whose write hangs costs itself: the other batches are written by the same flush, its own by halves, and then it
// is tried alone, after growing pauses.
func TestActivityThatHangs(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addRunning(300, start)
		time.Sleep(time.Minute)
		at := time.Now().UTC()
		store := &tough{Store: f.store, bad: []int{7}}
		c, err := executor.NewClient(store, executor.ClientConfig{Logger: quiet, StoreTimeout: 2 * time.Second})
		f.must(err)
		f.users(300, c, at)
		if c.FlushActivity(f.ctx) == nil {
			t.Error("a flush that could not write all of it reports none")
		}
		if left := f.unwritten(300, at); len(left) > 100 {
			t.Errorf("%d of 300 are left after the first flush", len(left))
		}
		for range 4 {
			_ = c.FlushActivity(f.ctx)
		}
		if left := f.unwritten(300, at); !slices.Equal(left, []int{7}) {
			t.Fatalf("left after five flushes: %v", left)
		}
		before := time.Now()
		commits := store.commits
		for time.Since(before) < 2*time.Hour {
			_ = c.FlushActivity(f.ctx)
			time.Sleep(10 * time.Second)
		}
		// After one minute, two, four, and so on up to an hour.
		if n := store.commits - commits; n < 5 || n > 7 {
			t.Errorf("tried %d times in two hours", n)
		}
		store.bad = nil
		time.Sleep(time.Hour)
		f.must(c.FlushActivity(f.ctx))
		if left := f.unwritten(300, at); len(left) != 0 {
			t.Errorf("left when it is free: %v", left)
		}
		commits = store.commits
		f.users(300, c, time.Now())
		f.must(c.FlushActivity(f.ctx))
		if n := store.commits - commits; n != 3 {
			t.Errorf("%d commits for 300 workspaces, in batches of 100", n)
		}
	})
}

// A store that hangs altogether costs a flush two batches, and is not asked for the rest.
func TestAFlushIntoAStoreThatHangs(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addRunning(1000, start)
		time.Sleep(time.Minute)
		at := time.Now().UTC()
		all := make([]int, 1000)
		for i := range all {
			all[i] = i + 1
		}
		store := &tough{Store: f.store, bad: all}
		c, err := executor.NewClient(store, executor.ClientConfig{Logger: quiet, StoreTimeout: 2 * time.Second, BatchSize: 10})
		f.must(err)
		f.users(1000, c, at)
		before := time.Now()
		if err := c.FlushActivity(f.ctx); err == nil || store.commits != 2 {
			t.Errorf("%d batches are tried; error %v", store.commits, err)
		}
		if took := time.Since(before); took != 4*time.Second {
			t.Errorf("it took %v", took)
		}
		store.bad = nil
		f.must(c.FlushActivity(f.ctx))
		if left := f.unwritten(1000, at); len(left) != 0 {
			t.Errorf("%d left", len(left))
		}
	})
}

// The last flush of a Run writes all but what hangs, and a tick waits for as little.
func TestTheLastFlush(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addRunning(250, start)
		store := &tough{Store: f.store, bad: []int{7}}
		log := &logs{}
		e, stop := f.run(executor.Config{Logger: log.logger(), ActivityFlush: time.Hour, Interval: time.Hour}, store)
		time.Sleep(time.Minute)
		at := time.Now().UTC()
		store.bad = nil
		f.users(250, e.Client, at.Add(-time.Second)) // its deadlines are known from now on
		f.must(e.FlushActivity(f.ctx))
		store.bad = []int{7}
		f.users(250, e.Client, at)
		f.must(stop())
		if left := f.unwritten(250, at); !slices.Equal(left, []int{7}) {
			t.Errorf("left at the end: %v", left)
		}
		if took := time.Since(at); took > 10*time.Second {
			t.Errorf("Run took %v to end", took)
		}
		if n := log.count("level=ERROR", "activity lost", "workspaces=1 "); n != 1 {
			t.Errorf("%d lines of the log say what is lost", n)
		}

		e = f.executor(executor.Config{Clock: quartz.NewReal(), ActivityFlush: time.Second}, store)
		at = time.Now().UTC()
		f.users(250, e.Client, at)
		time.Sleep(time.Second)
		if s := e.Tick(f.ctx, time.Now()); s.Err != nil || s.Elapsed > 10*time.Second {
			t.Errorf("the tick took %v, error %v", s.Elapsed, s.Err)
		}
		if left := f.unwritten(250, at); !slices.Equal(left, []int{7}) {
			t.Errorf("left after a tick: %v", left)
		}
	})
}

// The last flush of a Run tries what is left alone for a while, too.
func TestTheLastFlushLeavesNothingAlone(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addRunning(1, start)
		time.Sleep(time.Minute)
		at := time.Now().UTC()
		store := &tough{Store: f.store, bad: []int{1}}
		c, err := executor.NewClient(store, executor.ClientConfig{Logger: quiet, StoreTimeout: 2 * time.Second})
		f.must(err)
		f.users(1, c, at)
		if c.FlushActivity(f.ctx) == nil {
			t.Error("a flush that could write nothing reports none")
		}
		store.bad = nil
		f.must(c.FlushActivity(f.ctx))
		if left := f.unwritten(1, at); len(left) != 1 {
			t.Error("it is not left alone")
		}
		ended, end := context.WithCancel(f.ctx)
		end()
		f.must(c.Run(ended))
		if left := f.unwritten(1, at); len(left) != 0 {
			t.Error("it is lost")
		}
	})
}
