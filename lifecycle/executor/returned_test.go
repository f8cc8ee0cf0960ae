package executor_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

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
