package acquirer

import (
	"context"
	"time"
)

// pruneBatch keeps the transactions of pruning short.
const pruneBatch = 1000

// pruneLoop deletes what ended long ago and fails what nobody can run. One process does it for all.
func (a *Acquirer) pruneLoop(ctx context.Context) {
	for a.pause(ctx, jitter(a.prunePeriod()), "prune") {
		a.mu.Lock()
		ours := a.reports()
		a.mu.Unlock()
		if ours {
			a.expire(ctx)
			a.prune(ctx)
		}
	}
}

func (a *Acquirer) prunePeriod() time.Duration {
	period := time.Minute
	if a.cfg.Expire > 0 {
		period = min(period, max(a.cfg.Expire/4, time.Second))
	}
	return period
}

func (a *Acquirer) prune(ctx context.Context) {
	if a.cfg.Retention < 0 {
		return
	}
	before := a.now().Add(-a.cfg.Retention)
	for ctx.Err() == nil {
		n, err := ask(ctx, a, "prune", func(ctx context.Context) (int, error) { return a.store.PruneJobs(ctx, before, pruneBatch) })
		if err != nil {
			a.cfg.Logger.Warn("old jobs not deleted", "error", err)
			return
		}
		if n < pruneBatch {
			return
		}
	}
}
