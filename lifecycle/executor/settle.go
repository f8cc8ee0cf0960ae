package executor

import (
	"context"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
)

// settling tells the store of ticks, so that a gap in those of all replicas is noticed, whichever of them ticks first after
// it. It belongs to the tick that runs.
type settling struct {
	// told is the tick that the store was told of last: once an interval is often enough.
	told time.Time
}

// attend tells the store of a tick at an instant, before it reads what is due. The function that it returns is called at the
// end: a tick that took long is no gap.
func (e *Executor) attend(ctx context.Context, now time.Time) (leave func(), err error) {
	if e.cfg.Settle <= 0 {
		return func() {}, nil
	}
	began := e.clock.Now("executor", "attend")
	return func() {
		if err := e.tell(ctx, now.Add(e.clock.Since(began, "executor", "attend")), 0); err != nil {
			warn(ctx, e.logger, "record the tick", err)
		}
	}, e.tell(ctx, now, e.cfg.Settle)
}

// tell tells the store of a tick, and settles after a gap before it if that is to be.
func (e *Executor) tell(ctx context.Context, now time.Time, settle time.Duration) error {
	now = micros.Of(now)
	if lately(e.settling.told, now, e.cfg.Interval) {
		return nil
	}
	until, err := e.store.Ticked(ctx, now, e.cfg.Interval, settle)
	if err != nil {
		return fmt.Errorf("record the tick: %w", err)
	}
	e.settling.told = now
	if !until.IsZero() {
		e.logger.WarnContext(ctx, "executor: nothing ticked for a while; autostops and dormancy wait", "until", until)
	}
	return nil
}
