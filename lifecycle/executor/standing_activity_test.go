package executor_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// Activity that the store refuses stops no tick and no other activity; it is given up, and counted.
func TestRefusedActivity(t *testing.T) {
	f := newFleet(t)
	for n := 1; n <= 65; n++ {
		f.add(numbered(n, running(deadline(monday.Add(5*time.Hour)))))
	}
	f.add(numbered(99, running(deadline(monday.Add(-time.Minute)))))
	store := &hooked{Store: f.store, commit: refusing(func(c *lifecycle.Change) bool {
		return c.Workspace.LastUsedAt.After(monday) && c.Workspace.ID != id(65)
	})}
	registry := prometheus.NewRegistry()
	e := f.executor(executor.Config{Registerer: registry}, store)
	for n := 1; n <= 65; n++ {
		e.Activity(id(n), monday.Add(time.Second))
	}
	f.clock.Set(monday.Add(time.Minute))
	if s := e.Tick(f.ctx, monday.Add(time.Minute)); s.Err != nil || len(s.Transitions) != 1 {
		t.Errorf("%d transitions, error %v", len(s.Transitions), s.Err)
	}
	f.must(e.FlushActivity(f.ctx))
	if at := f.load(65).Workspace.LastUsedAt; !at.Equal(monday.Add(time.Second)) {
		t.Errorf("the activity that is taken: last used %v", at)
	}
	wanted := "# HELP dormouse_activity_dropped_total Activity that the store refused to take.\n# TYPE dormouse_activity_dropped_total counter\ndormouse_activity_dropped_total 64\n"
	f.must(testutil.GatherAndCompare(registry, strings.NewReader(wanted), "dormouse_activity_dropped_total"))
}

// Activity of a workspace whose row somebody holds waits for the next flush, which is not held up.
func TestActivityOfALockedRow(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, running()), numbered(2, running()))
	store := &lockedRow{Store: f.store, id: id(1)}
	e := f.executor(executor.Config{}, store)
	f.clock.Set(monday.Add(time.Hour))
	e.Activity(id(1), monday.Add(time.Hour))
	e.Activity(id(2), monday.Add(time.Hour))
	f.must(e.FlushActivity(f.ctx))
	if !f.load(2).Workspace.LastUsedAt.Equal(monday.Add(time.Hour)) {
		t.Error("one that is free is not written")
	}
	store.free.Store(true)
	f.must(e.FlushActivity(f.ctx))
	if !f.load(1).Workspace.LastUsedAt.Equal(monday.Add(time.Hour)) {
		t.Error("the one that was held is lost")
	}
}

// counting counts the calls of a store.
type counting struct {
	*hooked
	calls atomic.Int64
}

func newCounting(f *fleet) *counting {
	c := &counting{}
	count := func() error { c.calls.Add(1); return nil }
	c.hooked = &hooked{Store: f.store, due: count, load: count, commit: func([]lifecycle.Change) error { return count() }}
	return c
}

func (c *counting) Shard(ctx context.Context, now time.Time, replica uuid.UUID, ttl time.Duration) (lifecycle.Shard, error) {
	c.calls.Add(1)
	return lifecycle.Shard{}, nil
}

// A tick that finds nothing due is two calls of the store, however many people are at work.
func TestIdleTickWithActiveUsers(t *testing.T) {
	f := newFleet(t)
	for n := 1; n <= 1000; n++ {
		f.add(numbered(n, running(deadline(monday.Add(9*time.Hour)), workspace(func(w *lifecycle.Workspace) { w.WakeAt = monday.Add(9 * time.Hour) }))))
	}
	store := newCounting(f)
	e := f.executor(executor.Config{}, store)
	for n := 1; n <= 1000; n++ {
		e.Activity(id(n), monday)
	}
	wantStats(t, e.Tick(f.ctx, monday), 0, 0, 0)
	if n := store.calls.Load(); n > 2 {
		t.Errorf("%d calls of the store", n)
	}
}

// The activity of one workspace is written once a minute, and at the end.
func TestActivityFloor(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(10*time.Hour))
		commits := &counter{}
		store := &hooked{Store: f.store, commit: func([]lifecycle.Change) error { commits.add("n"); return nil }}
		e, stop := f.run(executor.Config{ActivityFlush: 10 * time.Second, Interval: time.Hour}, store)
		for range 180 {
			time.Sleep(time.Second)
			e.Activity(id(1), time.Now())
		}
		if n := commits.get("n"); n != 3 {
			t.Errorf("%d writes in three minutes, want 3", n)
		}
		last := time.Now().UTC().Truncate(us)
		e.Activity(id(1), last)
		f.must(stop())
		if at := f.load(1).Workspace.LastUsedAt; !at.Equal(last) {
			t.Errorf("after the end: last used %v, want %v", at, last)
		}
	})
}

// Beside Run no tick writes activity: a store that fails is asked once in ActivityFlush.
func TestTicksBesideRunWriteNoActivity(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(10*time.Hour))
		loads := &counter{}
		store := &hooked{Store: f.store, load: func() error { loads.add("n"); return errBroken }}
		e, stop := f.run(executor.Config{ActivityFlush: 10 * time.Second, Interval: time.Second}, store)
		e.Activity(id(1), start)
		time.Sleep(time.Minute)
		if n := loads.get("n"); n < 5 || n > 7 {
			t.Errorf("%d tries to write in a minute, want one in ten seconds", n)
		}
		f.must(stop())
	})
}

// A host that ticks itself has activity written by the ticks, without holding them up.
func TestTicksWriteActivity(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, running(deadline(monday.Add(5*time.Hour)), workspace(func(w *lifecycle.Workspace) { w.WakeAt = monday.Add(5 * time.Hour) }))))
	e := f.executor(executor.Config{}, nil)
	e.Activity(id(1), monday)
	f.clock.Set(monday.Add(10*time.Second - us))
	e.Activity(id(1), monday.Add(time.Second))
	e.Tick(f.ctx, monday)
	if !f.load(1).Workspace.LastUsedAt.Equal(monday) {
		t.Error("written at once")
	}
	f.clock.Set(monday.Add(10 * time.Second))
	e.Tick(f.ctx, monday)
	if at := f.load(1).Workspace.LastUsedAt; !at.Equal(monday.Add(time.Second)) {
		t.Errorf("last used %v", at)
	}
}
