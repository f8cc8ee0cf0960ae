package lifecycle

import (
	"context"
	"time"
)

const (
	pruneInterval = time.Hour
	// prunePage bounds one deletion, so that it holds no lock for long.
	prunePage = 500
)

// runPrune forgets what is older than the retention until ctx ends.
func (e *Executor) runPrune(ctx context.Context, p Pruner) {
	for ctx.Err() == nil {
		if err := e.prune(ctx, p); err != nil && ctx.Err() == nil {
			e.warn(ctx, "prune", err)
		}
		e.pause(ctx, pruneInterval)
	}
}

func (e *Executor) prune(ctx context.Context, p Pruner) error {
	before := stored(e.clock.Now("executor", "prune").Add(-e.cfg.Retention))
	for {
		n, err := p.Prune(ctx, before, prunePage)
		if err != nil || n < prunePage {
			return err
		}
	}
}
