package tick

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/internal/bench/meter"
)

// limitSQL makes the row changes of a tick in one statement and entirely in the server: it knows that everything due is an
// autostop, asks no rule, evaluates nothing, and sends nothing over the wire.
const limitSQL = `
	WITH due AS (
		SELECT * FROM dormouse.workspaces WHERE wake_at <= $1 ORDER BY id FOR NO KEY UPDATE
	), fresh AS (
		SELECT d.*, gen_random_uuid() AS next_id,
			row_number() OVER (PARTITION BY owner_id ORDER BY id) AS n, count(*) OVER (PARTITION BY owner_id) AS of
		FROM due d
	), archived AS (
		INSERT INTO dormouse.builds (workspace_id, number, id, version_id, transition, reason, status,
			created_at, completed_at, due_at, ttl_ns, run_since, deadline, max_deadline)
		SELECT id, build_number, build_id, build_version_id, build_transition, build_reason, build_status,
			build_created_at, build_completed_at, build_due_at, build_ttl_ns, build_run_since, build_deadline, build_max_deadline
		FROM fresh
	), done AS (
		UPDATE dormouse.workspaces w SET revision = w.revision + 1, wake_at = NULL,
			build_id = f.next_id, build_number = w.build_number + 1, build_transition = 2, build_reason = 'autostop', build_status = 1,
			build_created_at = $1, build_completed_at = NULL, build_due_at = w.build_deadline, build_run_since = coalesce(w.build_run_since, w.build_completed_at)
		FROM fresh f WHERE w.id = f.id
	), turn AS (
		INSERT INTO dormouse.turns AS t (organization_id, priority, tenant_id, place, step)
		SELECT DISTINCT organization_id, 0, owner_id, of * 1048576, of * 1048576 FROM fresh
		ON CONFLICT (organization_id, priority, tenant_id) DO UPDATE SET place = t.place + excluded.step, step = excluded.step
		RETURNING tenant_id, place
	), queued AS (
		INSERT INTO dormouse.jobs (id, organization_id, tenant_id, type, tag_set, priority, weight, payload, trace, created_at, ready_at, ready, place)
		SELECT f.next_id, f.organization_id, f.owner_id, 'workspace_build', 1, 0, 1, convert_to(json_build_object(
				'id', f.next_id, 'organization_id', f.organization_id, 'owner_id', f.owner_id, 'workspace_id', f.id,
				'template_id', f.template_id, 'template_version_id', f.build_version_id, 'build_number', f.build_number + 1,
				'transition', 'stop', 'reason', 'autostop', 'created_at', $1::timestamptz)::text, 'UTF8'), '', $1, $1, true,
			t.place - (f.of - f.n) * 1048576
		FROM fresh f JOIN turn t ON t.tenant_id = f.owner_id
	)
	SELECT count(*) FROM due`

// limitTick runs the statement on the next n groups.
func (b *pgBench) limitTick(ctx context.Context, n int) (time.Duration, error) {
	var done int
	now := b.next(n)
	begun := time.Now()
	err := b.pool.QueryRow(ctx, limitSQL, now).Scan(&done)
	took := time.Since(begun)
	if err == nil && done != n*b.due() {
		err = fmt.Errorf("limit: %d rows, want %d", done, n*b.due())
	}
	return took, err
}

// against measures ticks, limits and the reference in turn.
func (b *pgBench) against(ctx context.Context) error {
	if !b.r.Wants("tick/postgres/limit") && !b.r.Wants("tick/postgres/reference") {
		return nil
	}
	var ticks, limits []time.Duration
	var ratios []float64
	for range b.sizes.rounds {
		tick, limit, err := b.pair(ctx)
		if err != nil {
			return err
		}
		ticks, limits = append(ticks, tick), append(limits, limit)
		ratios = append(ratios, float64(tick)/float64(limit))
	}
	tick, limit := meter.Median(ticks), meter.Median(limits)
	b.r.AtMost(1, "tick/postgres/limit", meter.Median(ratios), "x", fmt.Sprintf(
		"%d workspaces, %d due: tick %v, one set-based statement %v (medians of %d)", b.sizes.fleet, b.due(), ms(tick), ms(limit), b.sizes.rounds))
	if !b.r.Wants("tick/postgres/reference") {
		return nil
	}
	begun := time.Now()
	// The first group is still as it was in the reference's own tables.
	n, err := referenceTick(ctx, b.pool, pgBegin.Add(time.Hour))
	took := time.Since(begun)
	if err == nil && n != b.due() {
		err = fmt.Errorf("reference: %d rows, want %d", n, b.due())
	}
	if err != nil {
		return err
	}
	b.r.AtLeast(12, "tick/postgres/reference", float64(took)/float64(tick), "x", fmt.Sprintf(
		"%d workspaces, %d due: tick %v, reference pattern %v", b.sizes.fleet, b.due(), ms(tick), ms(took)))
	return rest(ctx, b.pool)
}

// pair measures a tick and the statement, and checks that they did the same.
func (b *pgBench) pair(ctx context.Context) (tick, limit time.Duration, err error) {
	if err := b.ready(ctx, 2); err != nil {
		return 0, 0, err
	}
	var wrote [2]rows
	for i, run := range []func() error{
		func() (err error) { tick, err = b.ticked(ctx, 1); return err },
		func() (err error) { limit, err = b.limitTick(ctx, 1); return err },
	} {
		before, err := countRows(ctx, b.pool)
		if err == nil {
			err = run()
		}
		if err == nil {
			err = rest(ctx, b.pool)
		}
		if err != nil {
			return 0, 0, err
		}
		after, err := countRows(ctx, b.pool)
		if err != nil {
			return 0, 0, err
		}
		wrote[i] = before.to(after)
	}
	if wrote[0] != wrote[1] {
		err = fmt.Errorf("the sides did not write the same rows: %+v and %+v", wrote[0], wrote[1])
	}
	return tick, limit, err
}

// rows are what a tick leaves behind.
type rows struct{ builds, jobs, pending, waking int }

func countRows(ctx context.Context, pool *pgxpool.Pool) (r rows, err error) {
	err = pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM dormouse.builds), (SELECT count(*) FROM dormouse.jobs),
		(SELECT count(*) FROM dormouse.workspaces WHERE build_status = 1 AND build_transition = 2),
		(SELECT count(*) FROM dormouse.workspaces WHERE wake_at IS NOT NULL)`).Scan(&r.builds, &r.jobs, &r.pending, &r.waking)
	return r, err
}

func (r rows) to(s rows) rows {
	return rows{s.builds - r.builds, s.jobs - r.jobs, s.pending - r.pending, s.waking - r.waking}
}

func ms(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}
