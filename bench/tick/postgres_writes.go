package tick

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const activitySQL = `UPDATE dormouse.workspaces SET last_used_at = last_used_at + interval '1 second', revision = revision + 1 WHERE id = $1`

// writer writes activity of workspaces that are not due, one row at a time on a connection of its own, and measures each.
type writer struct {
	pool *pgxpool.Pool
	ids  [][16]byte
	n    int
}

func newWriter(ctx context.Context, pool *pgxpool.Pool) (*writer, error) {
	rows, err := pool.Query(ctx, `SELECT id FROM dormouse.workspaces WHERE wake_at > $1 ORDER BY random() LIMIT 2000`, pgBegin.AddDate(0, 0, 50))
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id [16]byte, err error) { return id, row.Scan(&id) })
	return &writer{pool: pool, ids: ids}, err
}

// write goes on until done is closed, with a pause after each write.
func (w *writer) write(ctx context.Context, done <-chan struct{}) ([]time.Duration, error) {
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	var took []time.Duration
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for {
		select {
		case <-done:
			return took, nil
		case <-pause.C:
		}
		w.n++
		begun := time.Now()
		if _, err := conn.Exec(ctx, activitySQL, w.ids[w.n%len(w.ids)]); err != nil {
			return took, err
		}
		took = append(took, time.Since(begun))
	}
}

// during measures the writes while f runs.
func (w *writer) during(ctx context.Context, f func() error) ([]time.Duration, error) {
	done, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		failed <- f()
		close(done)
	}()
	took, err := w.write(ctx, done)
	if err == nil {
		err = <-failed
	}
	return took, err
}

func p99(took []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)*99/100]
}

// writes compares the p99 of activity writes while a tick runs with that of an idle database.
func (b *pgBench) writes(ctx context.Context) error {
	if !b.r.Wants("tick/postgres/writes") {
		return nil
	}
	w, err := newWriter(ctx, b.pool)
	if err != nil {
		return err
	}
	e, err := b.executor(b.store)
	if err != nil {
		return err
	}
	var busy, idle []time.Duration
	for b.group < 9 {
		took, err := w.during(ctx, func() error { return wait(ctx, 2*time.Second) })
		if err != nil {
			return err
		}
		idle = append(idle, took...)
		now := b.next()
		took, err = w.during(ctx, func() error {
			_, err := b.ticked(ctx, e, now)
			return err
		})
		if err != nil {
			return err
		}
		busy = append(busy, took...)
	}
	if len(busy) < 50 {
		return fmt.Errorf("writes: only %d writes fell into ticks", len(busy))
	}
	b.r.AtMost(2.5, "tick/postgres/writes", float64(p99(busy))/float64(p99(idle)), "x", fmt.Sprintf(
		"p99 of single-row activity writes: %v while a tick of %d runs (%d writes), %v on an idle database (%d); medians %v and %v",
		ms(p99(busy)), b.due(), len(busy), ms(p99(idle)), len(idle), ms(median(busy)), ms(median(idle))))
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
