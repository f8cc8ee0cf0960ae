package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// inShare is [lifecycle.Shard.Holds] in SQL: $1 is the index, $2 the count.
const inShare = `($2::bigint <= 1 OR ('x' || right(w.id::text, 8))::bit(32)::bigint % $2::bigint = $1::bigint)`

// dueSQL reads a page of the due index first and joins after: the limit must not depend on what is joined.
var dueSQL = `
	SELECT` + snapshotColumns + `
	FROM (
		SELECT * FROM dormouse.workspaces w
		WHERE w.wake_at <= $3 AND (w.wake_at, w.id) > ($4, $5) AND ` + inShare + `
		ORDER BY w.wake_at, w.id
		LIMIT $6
	) w` + snapshotJoins + `
	ORDER BY w.wake_at, w.id`

const marksSQL = `SELECT EXISTS (SELECT FROM dormouse.marks WHERE touched_at < clock_timestamp() - interval '10 seconds')`

// Due implements [lifecycle.Store].
func (s *Store) Due(ctx context.Context, q lifecycle.DueQuery) (page []lifecycle.Snapshot, err error) {
	if q.Limit <= 0 {
		return nil, ctx.Err()
	}
	if q.After != (lifecycle.Cursor{}) {
		page, err = s.duePage(ctx, q, instant(q.After.WakeAt), q.After.ID, nil)
	} else {
		page, err = s.dueFirst(ctx, q)
	}
	if err != nil {
		return nil, fmt.Errorf("read due workspaces: %w", err)
	}
	return page, nil
}

// dueFirst reads the first page, above the low-water bound. In the same round trip it asks for changes of templates and
// owners whose author died before all of their workspaces were due, and finishes them.
func (s *Store) dueFirst(ctx context.Context, q lifecycle.DueQuery) ([]lifecycle.Snapshot, error) {
	low := s.low.read(q.Now)
	marked := false
	page, err := s.duePage(ctx, q, lowBound(low.from), uuid.Nil, &marked)
	if err == nil && marked {
		if err = s.resumeMarks(ctx); err == nil {
			page, err = s.duePage(ctx, q, beginning, uuid.Nil, nil)
		}
	}
	if err != nil || q.Shard.Count > 1 {
		return page, err
	}
	var first time.Time
	if len(page) > 0 {
		first = page[0].Workspace.WakeAt
	}
	s.low.learn(low, q.Now, first)
	return page, nil
}

// lowBound is the place in the due index just below an instant.
func lowBound(from time.Time) pgtype.Timestamptz {
	if from.IsZero() {
		return beginning
	}
	return instant(from.Add(-time.Microsecond))
}

// duePage reads one page, and into marked, if that is not nil, whether there are marks to resume.
func (s *Store) duePage(ctx context.Context, q lifecycle.DueQuery, wake pgtype.Timestamptz, id uuid.UUID, marked *bool) (page []lifecycle.Snapshot, err error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	err = s.retry(ctx, repeatable, func(ctx context.Context) error {
		var b pgx.Batch
		b.Queue(s.sql(dueSQL), q.Shard.Index, q.Shard.Count, q.Now, wake, key(id), q.Limit)
		if marked != nil {
			b.Queue(s.sql(marksSQL))
		}
		return s.send(ctx, &b, func(r pgx.BatchResults) (err error) {
			rows, _ := r.Query()
			if page, err = s.snapshots(rows, int(s.pageLength.Load())); err != nil || marked == nil {
				return err
			}
			return r.QueryRow().Scan(marked)
		})
	})
	if err == nil {
		s.pageLength.Store(int64(len(page)))
	}
	return page, err
}

var loadSQL = `
	SELECT` + snapshotColumns + `
	FROM dormouse.workspaces w` + snapshotJoins + `
	WHERE w.id = ANY ($1)`

// Load implements [lifecycle.Store].
func (s *Store) Load(ctx context.Context, ids ...uuid.UUID) (found []lifecycle.Snapshot, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	err = s.do(ctx, repeatable, func(ctx context.Context) (err error) {
		rows, _ := s.db.Query(ctx, s.sql(loadSQL), keys(ids))
		found, err = s.snapshots(rows, len(ids))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load workspaces: %w", err)
	}
	return found, nil
}

// do is retry on a schema that was checked.
func (s *Store) do(ctx context.Context, again safety, f func(context.Context) error) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	return s.retry(ctx, again, f)
}

// send sends statements in one round trip, as one transaction, and reads their results. Only the end of the batch says
// whether the transaction was committed.
func (s *Store) send(ctx context.Context, b *pgx.Batch, read func(pgx.BatchResults) error) error {
	return send(ctx, s.db, b, read)
}

// sender is a pool, or a connection.
type sender interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// send returns the error of the statement that failed, if one did: what read makes of the answers behind it does not count.
func send(ctx context.Context, conn sender, b *pgx.Batch, read func(pgx.BatchResults) error) error {
	results := conn.SendBatch(ctx, b)
	err := read(results)
	if failed := results.Close(); failed != nil {
		return failed
	}
	return err
}

// skip passes over the answers of statements that are there for what they do.
func skip(results pgx.BatchResults, n int) {
	for range n {
		_, _ = results.Exec()
	}
}

const nextWakeSQL = `
	SELECT w.wake_at FROM dormouse.workspaces w
	WHERE w.wake_at >= $3 AND ` + inShare + `
	ORDER BY w.wake_at LIMIT 1`

// NextWake implements [lifecycle.Waker].
func (s *Store) NextWake(ctx context.Context, share lifecycle.Shard) (wake time.Time, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		wake = time.Time{}
		rows, _ := s.db.Query(ctx, s.sql(nextWakeSQL), share.Index, share.Count, lowBound(s.low.known()))
		_, err = pgx.ForEachRow(rows, []any{toTime(&wake)}, func() error { return nil })
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("read the next wake: %w", err)
	}
	return wake.UTC(), nil
}

const backlogSQL = `
	SELECT d.n, d.oldest, e.n
	FROM (SELECT count(*) AS n, min(wake_at) AS oldest FROM dormouse.workspaces WHERE wake_at <= $1) d,
	     (SELECT count(*) AS n FROM dormouse.events) e`

// Backlog implements [lifecycle.Gauges].
func (s *Store) Backlog(ctx context.Context, now time.Time) (b lifecycle.Backlog, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		return s.db.QueryRow(ctx, s.sql(backlogSQL), now).Scan(&b.Due, toTime(&b.OldestDue), &b.Events)
	})
	if err != nil {
		return lifecycle.Backlog{}, fmt.Errorf("count what waits: %w", err)
	}
	normalize(&b.OldestDue)
	return b, nil
}
