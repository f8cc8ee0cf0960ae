package executor

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/dormouse-go/dormouse/internal/hints"
	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Run ticks, delivers events, writes activity and prunes until ctx ends or Config.Tick is closed. It then waits for
// everything it started, writes the activity that is left, for at most 10 seconds, and returns nil. Errors of the store do
// not end it; they are logged, and what failed is tried again. Calls of hooks and of the store that do not return though
// their context has ended are not waited for: Run names them in its error, a [*TimeoutError] for each. Run may be called
// once; another call returns [ErrAlreadyRun].
func (e *Executor) Run(ctx context.Context) error {
	if ctx == nil {
		return invalid.New("ctx", nil, "is required")
	}
	if !e.ran.CompareAndSwap(false, true) {
		return ErrAlreadyRun
	}
	defer e.Close()
	ctx, cancel := context.WithCancel(ctx)
	together(append(e.loops(ctx), func() {
		// Only the host, by closing its channel, ends the ticks before ctx; the other loops must end then too.
		defer cancel()
		e.runTicks(ctx)
	})...)
	e.flushAtEnd(ctx)
	return e.leftovers()
}

// loops are what Run does beside the ticks.
func (e *Executor) loops(ctx context.Context) []func() {
	all := []func(){func() { e.runActivity(ctx) }}
	for _, r := range e.relays {
		all = append(all, func() { r.run(ctx) })
	}
	if e.pruner != nil {
		all = append(all, func() { e.pruner.run(ctx) })
	}
	if e.store.watcher != nil && e.cfg.Precise {
		all = append(all, func() { e.runWatch(ctx, e.store.watcher) })
	}
	return all
}

func (e *Executor) runTicks(ctx context.Context) {
	switch {
	case e.cfg.Tick != nil:
		e.runChannel(ctx)
	case e.cfg.Precise:
		e.runPrecise(ctx)
	default:
		w := e.clock.TickerFunc(ctx, e.cfg.Interval, func() error {
			e.report(ctx, e.Tick(ctx, e.clock.Now("executor", "tick")))
			return nil
		}, "executor", "ticker")
		_ = w.Wait("executor", "ticker") // only the context ends it
	}
}

func (e *Executor) runChannel(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case now, open := <-e.cfg.Tick:
			if !open {
				return
			}
			e.report(ctx, e.Tick(ctx, now))
		}
	}
}

// runPrecise sleeps until the earliest wake, or until a signal that it may have moved.
func (e *Executor) runPrecise(ctx context.Context) {
	for ctx.Err() == nil {
		s := e.Tick(ctx, e.clock.Now("executor", "tick"))
		e.report(ctx, s)
		timer := e.clock.AfterFunc(e.sleep(ctx, s), e.signals.changed, "executor", "precise")
		select {
		case <-ctx.Done():
		case <-e.signals.wake:
		}
		timer.Stop("executor", "precise")
	}
}

// sleep returns how long a precise Run may sleep after a tick: until the earliest wake, and never longer than Interval,
// because another replica may have moved it. If the tick left something due, asking at once would spin.
func (e *Executor) sleep(ctx context.Context, s Stats) time.Duration {
	if s.Err != nil || s.Left > 0 {
		return e.cfg.Interval
	}
	wake, err := e.nextWake(ctx, s.shard)
	switch {
	case err != nil:
		warn(ctx, e.logger, "next wake", err)
		return e.cfg.Interval
	case wake.IsZero():
		return e.cfg.Interval
	}
	// A tick before the next whole unit of the granularity would not see the wake, and spin.
	if whole := wake.Truncate(e.cfg.Granularity); whole.Before(wake) {
		wake = whole.Add(e.cfg.Granularity)
	}
	return min(e.cfg.Interval, max(e.clock.Until(wake, "executor", "sleep"), 0))
}

// nextWake is when the next tick may find something: in its own shard at once, in another one an interval later.
func (e *Executor) nextWake(ctx context.Context, shard lifecycle.Shard) (time.Time, error) {
	own, err := e.store.NextWake(ctx, shard)
	if err != nil || shard.Count <= 1 {
		return own, err
	}
	others, err := e.store.NextWake(ctx, lifecycle.Shard{})
	if err != nil || others.IsZero() {
		return own, err
	}
	return micros.Earlier(own, others.Add(e.cfg.Interval)), nil
}

// hintPause is the least time between two ticks that messages of other processes cause. It is lost in what a tick is late anyway.
const hintPause = 50 * time.Millisecond

func (e *Executor) runWatch(ctx context.Context, w lifecycle.Watcher) {
	h := hints.NewGate(e.clock, hintPause, "executor", e.signals.changed)
	for ctx.Err() == nil {
		err := watch(ctx, e.caller, "store: watch wakes", func(ctx context.Context) error { return w.WatchWakes(ctx, h.Hint) })
		warn(ctx, e.logger, "watch wakes", cmp.Or(err, errWatchEnded))
		pause(ctx, e.clock, e.cfg.Interval)
	}
}

var errWatchEnded = errors.New("the watch has ended by itself")

// report hands the stats of a tick to the host.
func (e *Executor) report(ctx context.Context, s Stats) {
	if e.cfg.StatsC == nil {
		return
	}
	select {
	case e.cfg.StatsC <- s:
	case <-ctx.Done():
	}
}
