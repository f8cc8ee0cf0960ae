package executor_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// What waits for a worker does not wait for the end of its pause when one is back: the next tick makes it. While there is none,
// each tick asks once for a version, and nothing else is done.
func TestReturnedWorkerEndsTheBackoff(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(20)...)
	var there atomic.Bool
	var asked atomic.Int64
	e := f.executor(executor.Config{PageSize: 7, Available: func(context.Context, executor.Group) (bool, error) {
		asked.Add(1)
		return there.Load(), nil
	}}, nil)
	wantStats(t, e.Tick(f.ctx, monday), 0, 20, 0)
	for i := range 10 { // the pauses grow
		e.Tick(f.ctx, monday.Add(time.Duration(i+1)*4*time.Minute))
	}
	before, now := asked.Load(), monday.Add(40*time.Minute+time.Second)
	wantStats(t, e.Tick(f.ctx, now), 0, 0, 0)
	if n := asked.Load() - before; n != 1 {
		t.Errorf("asked %d times for one version", n)
	}
	there.Store(true)
	wantStats(t, e.Tick(f.ctx, now.Add(time.Second)), 20, 0, 0)
	before = asked.Load()
	wantStats(t, e.Tick(f.ctx, now.Add(2*time.Second)), 0, 0, 0)
	if n := asked.Load() - before; n != 0 {
		t.Errorf("asked %d times although nothing waits", n)
	}
}

// The end of a back-off writes no event that nobody receives: a policy that changed since moves a deletion, and says so.
func TestReturnedWorkerWritesWhatSomebodyReceives(t *testing.T) {
	for _, heard := range []bool{false, true} {
		f := newFleet(t)
		s := stopped(asleep(monday.Add(20*day)), autostart("0 9 * * *"), policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = 20 * day }))
		s.Workspace.DeletingAt = monday.Add(-time.Hour)
		f.add(numbered(1, s))
		cfg := executor.Config{}
		if heard {
			cfg.Topics = []lifecycle.Topic{lifecycle.TopicNotice}
		}
		var there atomic.Bool
		cfg.Available = func(context.Context, executor.Group) (bool, error) { return there.Load(), nil }
		e := f.executor(cfg, nil)
		wantStats(t, e.Tick(f.ctx, monday), 0, 1, 0)
		tm := f.load(1).Template
		tm.Policy.TimeTilAutodelete = 30 * day
		f.must(f.store.PutTemplate(f.ctx, monday, tm))
		there.Store(true)
		wantStats(t, e.Tick(f.ctx, monday.Add(time.Second)), 0, 0, 0)
		if w := f.load(1).Workspace; w.Backoff.Attempts != 0 || !w.DeletingAt.Equal(monday.Add(30*day)) {
			t.Errorf("backs off %+v, deleted at %v", w.Backoff, w.DeletingAt)
		}
		backlog, err := f.store.Backlog(f.ctx, monday)
		f.must(err)
		if (backlog.Events == 1) != heard {
			t.Errorf("%d events, heard %t", backlog.Events, heard)
		}
	}
}
