package executor

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// share is what the store said was this replica's. It belongs to the tick that runs.
type share struct {
	shard lifecycle.Shard
	// at is when: once an interval is often enough. A replica that came since is known to others a little later, and until
	// then some workspaces are evaluated twice; one that has gone is waited for for longer anyway.
	at time.Time
}

func (s *share) of(ctx context.Context, e *Executor, now time.Time) (lifecycle.Shard, error) {
	if lately(s.at, now, e.cfg.Interval) {
		return s.shard, nil
	}
	shard, err := e.store.Shard(ctx, now, e.replica, missedIntervals*e.cfg.Interval)
	if err == nil {
		s.shard, s.at = shard, now
	}
	return shard, err
}

// lately reports whether an instant lies less than d before another. One that lies behind it is that of a clock that went back.
func lately(at, now time.Time, d time.Duration) bool {
	since := now.Sub(at)
	return since >= 0 && since < d
}
