package sqlite

import (
	"context"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// fromDue names the due index: statistics of a day on which everything was due must not make SQLite read the whole table
// on a day on which nothing is.
var (
	fromDue   = selectSnapshots + `INDEXED BY {workspaces_due}` + joinSnapshots
	dueAll    = fromDue + `WHERE w.wake_at <= ? AND (w.wake_at, w.id) > (?, ?) ORDER BY w.wake_at, w.id LIMIT ?`
	dueShared = fromDue + `WHERE w.wake_at <= ? AND (w.wake_at, w.id) > (?, ?) AND w.share % ? = ? ORDER BY w.wake_at, w.id LIMIT ?`
)

// Due implements [lifecycle.Store].
func (s *Store) Due(ctx context.Context, q lifecycle.DueQuery) ([]lifecycle.Snapshot, error) {
	if q.Limit <= 0 {
		return nil, ctx.Err()
	}
	after := []any{int64(math.MinInt64), []byte{}}
	if !q.After.WakeAt.IsZero() {
		after = []any{micros(q.After.WakeAt), blob(q.After.ID)}
	} else if err := s.sweep(ctx); err != nil {
		return nil, unavailable(err, "read due workspaces")
	}
	args := append([]any{micros(q.Now)}, after...)
	statement := dueAll
	if q.Shard.Count > 1 {
		statement = dueShared
		args = append(args, q.Shard.Count, q.Shard.Index)
	}
	found, err := s.snapshots(ctx, q.Limit, statement, append(args, q.Limit)...)
	return found, unavailable(err, "read due workspaces")
}

// NextWake implements [lifecycle.Waker].
func (s *Store) NextWake(ctx context.Context, share lifecycle.Shard) (wake time.Time, err error) {
	if err = s.sweep(ctx); err == nil {
		if share.Count <= 1 {
			share = lifecycle.Shard{Index: 0, Count: 1}
		}
		_, err = s.queryRow(ctx, `
			SELECT wake_at FROM {workspaces} INDEXED BY {workspaces_due}
			WHERE wake_at IS NOT NULL AND share % ? = ? ORDER BY wake_at, id LIMIT 1`,
			[]any{share.Count, share.Index}, into(&wake))
	}
	return wake, unavailable(err, "read the next wake")
}

// Backlog implements [lifecycle.Gauges].
func (s *Store) Backlog(ctx context.Context, now time.Time) (b lifecycle.Backlog, err error) {
	if err = s.sweep(ctx); err == nil {
		_, err = s.queryRow(ctx, `
			SELECT count(*), min(wake_at), (SELECT count(*) FROM {events})
			FROM {workspaces} INDEXED BY {workspaces_due} WHERE wake_at <= ?`,
			[]any{micros(now)}, &b.Due, into(&b.OldestDue), &b.Events)
	}
	return b, unavailable(err, "count the backlog")
}

// loadBy are the statements that load workspaces, by how many.
var loadBy = [...]struct {
	ids       int
	statement string
}{
	{1, loading(1)}, {10, loading(10)}, {100, loading(100)},
}

func loading(ids int) string {
	return selectSnapshots + joinSnapshots + `WHERE w.id IN (` + placeholders(ids) + `)`
}

// Load implements [lifecycle.Store].
func (s *Store) Load(ctx context.Context, ids ...uuid.UUID) ([]lifecycle.Snapshot, error) {
	ids = distinct(ids)
	var found []lifecycle.Snapshot
	for len(ids) > 0 {
		by := loadBy[len(loadBy)-1]
		for _, fits := range loadBy {
			if fits.ids >= len(ids) {
				by = fits
				break
			}
		}
		n := min(by.ids, len(ids))
		page, err := s.snapshots(ctx, n, by.statement, padded(ids[:n], by.ids)...)
		if err != nil {
			return nil, unavailable(err, "load workspaces (%d)", n)
		}
		found = append(found, page...)
		ids = ids[n:]
	}
	return found, nil
}

// padded repeats the last id, which changes nothing in a set, so that few statements do for any number of ids.
func padded(ids []uuid.UUID, n int) []any {
	args := make([]any, n)
	for i := range args {
		args[i] = blob(ids[min(i, len(ids)-1)])
	}
	return args
}
