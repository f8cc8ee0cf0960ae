package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// ErrRunning says that the executor is running already.
var ErrRunning = errors.New("executor is running already")

// shutdownGrace bounds what must still be written when Run ends.
const shutdownGrace = 10 * time.Second

// Executor makes the transitions of the workspaces in a store. It is safe for concurrent use, and any number of them, in
// any number of processes, may work on one store.
type Executor struct {
	store   lifecycle.Store
	cfg     Config
	clock   quartz.Clock
	metrics *metrics
	ids     *ids
	topics  lifecycle.Topics
	// replica is who this executor is among those that tick on the store.
	replica uuid.UUID

	activity *activity
	// ticking is held by the tick that runs: ticks of one executor do not overlap.
	ticking chan struct{}
	// running guards Run.
	running atomic.Bool
	// relayC and wakeC say "look again" to the relay and to a precise Run.
	relayC, wakeC chan struct{}
	gaugedAt      atomic.Int64
	last          atomic.Pointer[Stats]
}

// New returns an executor over a store. It starts nothing: call [Executor.Run], or [Executor.Tick] from a scheduler of
// the host. The error names the field of the configuration that cannot be used.
func New(store lifecycle.Store, cfg Config) (*Executor, error) {
	if store == nil {
		return nil, invalid.New("store", nil, "is required")
	}
	cfg = cfg.withDefaults(store)
	if err := cfg.validate(store); err != nil {
		return nil, fmt.Errorf("new executor: %w", err)
	}
	e := &Executor{
		store: store, cfg: cfg, clock: cfg.Clock, metrics: newMetrics(cfg.Namespace), ids: newIDs(cfg.Rand),
		topics: cfg.topics(), activity: newActivity(), ticking: make(chan struct{}, 1),
		relayC: make(chan struct{}, 1), wakeC: make(chan struct{}, 1),
	}
	var err error
	if e.replica, err = e.ids.next(e.clock.Now("executor", "new")); err != nil {
		return nil, fmt.Errorf("new executor: %w", err)
	}
	if err := e.metrics.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("new executor: %w", err)
	}
	return e, nil
}

// Run ticks, delivers events and flushes activity until the context ends or Config.Tick is closed. It then waits for
// what it started, flushes the activity it still holds (for at most 10 seconds), and returns nil, or the error of that
// last flush. Errors of the store do not end it. A second Run at the same time returns [ErrRunning].
func (e *Executor) Run(ctx context.Context) error {
	if !e.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer e.running.Store(false)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var g sync.WaitGroup
	g.Go(func() { e.runRelay(ctx) })
	g.Go(func() { e.runActivity(ctx) })
	if e.cfg.Retention > 0 || e.cfg.EventRetention > 0 {
		g.Go(func() { e.runPrune(ctx) })
	}
	if w, ok := e.store.(lifecycle.Watcher); ok && e.cfg.Precise {
		g.Go(func() { e.runWatch(ctx, w) })
	}
	// The ticks end last by themselves only when the host closes its channel; then the others have to end too.
	e.runTicks(ctx)
	cancel()
	g.Wait()
	flush, done := e.timeout(context.WithoutCancel(ctx), shutdownGrace)
	defer done()
	return e.FlushActivity(flush)
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

// runPrecise sleeps until the earliest wake, or until somebody says that it may have moved.
func (e *Executor) runPrecise(ctx context.Context) {
	for ctx.Err() == nil {
		s := e.Tick(ctx, e.clock.Now("executor", "tick"))
		e.report(ctx, s)
		timer := e.clock.AfterFunc(e.sleep(ctx, s), func() { signal(e.wakeC) }, "executor", "precise")
		select {
		case <-ctx.Done():
		case <-e.wakeC:
		}
		timer.Stop("executor", "precise")
	}
}

// sleep returns how long a precise Run may sleep after a tick: until the earliest wake, and never longer than Interval,
// because another replica may have moved it. Where the tick left something due behind, asking at once would spin.
func (e *Executor) sleep(ctx context.Context, s Stats) time.Duration {
	if s.Err != nil || s.Left > 0 {
		return e.cfg.Interval
	}
	wake, err := e.nextWake(ctx, s.share)
	switch {
	case err != nil:
		e.warn(ctx, "next wake", err)
		return e.cfg.Interval
	case wake.IsZero():
		return e.cfg.Interval
	}
	// A tick is truncated to the granularity: before the next whole one it would not see the wake, and spin.
	if whole := wake.Truncate(e.cfg.Granularity); whole.Before(wake) {
		wake = whole.Add(e.cfg.Granularity)
	}
	return min(e.cfg.Interval, max(e.clock.Until(wake, "executor", "sleep"), 0))
}

// nextWake is when the next tick may find something: in its own share at once, in another's an interval later.
func (e *Executor) nextWake(ctx context.Context, share lifecycle.Shard) (time.Time, error) {
	w := e.store.(lifecycle.Waker)
	own, err := w.NextWake(ctx, share)
	if err != nil || share.Count <= 1 {
		return own, err
	}
	others, err := w.NextWake(ctx, lifecycle.Shard{})
	if err != nil || others.IsZero() {
		return own, err
	}
	return micros.Earlier(own, others.Add(e.cfg.Interval)), nil
}

func (e *Executor) runWatch(ctx context.Context, w lifecycle.Watcher) {
	for ctx.Err() == nil {
		if err := w.WatchWakes(ctx, func() { signal(e.wakeC) }); err != nil && ctx.Err() == nil {
			e.warn(ctx, "watch wakes", err)
			e.pause(ctx, e.cfg.Interval)
		}
	}
}

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

// pause waits on the executor's clock.
func (e *Executor) pause(ctx context.Context, d time.Duration) {
	ctx, cancel := e.timeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// timeout is context.WithTimeout on the executor's clock.
func (e *Executor) timeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := e.clock.AfterFunc(d, func() { cancel(context.DeadlineExceeded) }, "executor", "timeout")
	return ctx, func() {
		timer.Stop("executor", "timeout")
		cancel(context.Canceled)
	}
}

// signal leaves a mark in a channel with room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (e *Executor) warn(ctx context.Context, doing string, err error) {
	e.cfg.Logger.WarnContext(ctx, "lifecycle: will be tried again", "doing", doing, "error", err)
}
