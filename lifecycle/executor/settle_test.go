package executor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// settler is a store that is told of ticks and may refuse to hear of one.
type settler struct {
	*hooked
	told []time.Time
	fail func(n int) bool
}

func (s *settler) Ticked(ctx context.Context, now time.Time, interval, settle time.Duration) (time.Time, error) {
	if s.told = append(s.told, now); s.fail(len(s.told)) {
		return time.Time{}, errors.New("no room")
	}
	return s.Store.Ticked(ctx, now, interval, settle)
}

// A store is told of a tick before it and, if it took long, after it. What cannot be told before ends the tick: a gap may have to
// be settled. What cannot be told after is a line in the log: the work is done.
func TestTheStoreIsToldOfTicks(t *testing.T) {
	for name, c := range map[string]struct {
		took        time.Duration
		fail        int // the call that fails
		calls, logs int
		stops       int
	}{
		"a quick tick":         {took: 19 * time.Second, calls: 1, stops: 1},
		"a long one":           {took: 20 * time.Second, calls: 2, stops: 1},
		"one as long as a gap": {took: 61 * time.Second, calls: 2, stops: 1},
		"not recorded before":  {took: 20 * time.Second, fail: 1, calls: 1},
		"not recorded after":   {took: 20 * time.Second, fail: 2, calls: 2, logs: 1, stops: 1},
	} {
		f := newFleet(t)
		f.add(dueStops(1)...)
		store := &settler{fail: func(n int) bool { return n == c.fail }}
		store.hooked = &hooked{Store: f.store, due: func() error { f.clock.Advance(c.took); return nil }}
		log := &logs{}
		e := f.executor(executor.Config{
			Settle: time.Minute, Interval: 20 * time.Second, Granularity: time.Second, StoreTimeout: time.Hour, Logger: log.logger(),
		}, store)
		s := e.Tick(f.ctx, monday)
		if (s.Err != nil) != (c.fail == 1) || f.queued(1) != c.stops {
			t.Errorf("%s: error %v, %d stops", name, s.Err, f.queued(1))
		}
		if len(store.told) != c.calls || log.count("record the tick", "WARN") != c.logs {
			t.Errorf("%s: told of %v, and %d lines of log", name, store.told, log.count("record the tick", "WARN"))
		}
		if engine, err := f.store.Engine(f.ctx); err != nil || !engine.SettleUntil.IsZero() || log.count("nothing ticked") != 0 {
			t.Errorf("%s: settles until %v, error %v", name, engine.SettleUntil, err)
		}
		if last := store.told[len(store.told)-1]; c.calls == 2 && !last.Equal(monday.Add(c.took)) {
			t.Errorf("%s: told of %v after a tick of %v", name, last, c.took)
		}
	}
}

// A pause counts from the failure: a build that hung for longer than the pause is not tried again by the very next tick, and no
// wake is written that had passed by then.
func TestAPauseCountsFromTheFailure(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start)
		e, err := executor.New(f.store, executor.Config{
			BuildTimeout: 10 * time.Minute, Logger: quiet,
			Builder: executor.BuilderFunc(func(ctx context.Context, _ executor.BuildRequest) (executor.BuildSpec, error) {
				<-ctx.Done()
				return executor.BuildSpec{}, ctx.Err()
			}),
		})
		f.must(err)
		wantStats(t, e.Tick(f.ctx, start), 0, 1, 1)
		if b, past := f.load(1).Workspace.Backoff, time.Now().Add(time.Minute); b.Attempts != 1 || b.Until.Before(past) {
			t.Errorf("attempt %d, put off until %v at %v", b.Attempts, b.Until, time.Now())
		}
	})
}
