package tick

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// pgBegin is when the fleet was filled: a Monday morning.
var pgBegin = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// groupSQL is when workspace number i is due.
const groupSQL = `base + CASE WHEN i % 100 = 0 THEN interval '30 minutes' WHEN i % 10 = 0 THEN interval '100 days'
	ELSE (i % 10) * interval '1 hour' END`

// fillFleet writes workspaces of 1,000 owners and 20 templates, all of them running. The first nine tenths are in groups
// whose deadlines are an hour apart; the rest stays, but for a hundredth to warm up with, half an hour after the beginning.
func fillFleet(ctx context.Context, pool *pgxpool.Pool, n, builds int) error {
	for _, s := range []struct {
		text string
		args []any
	}{
		{`INSERT INTO dormouse.owners SELECT gen_random_uuid(), 'owner-' || i, 0, '' FROM generate_series(1, 1000) i`, nil},
		{`INSERT INTO dormouse.templates (id, organization_id, name, active_version_id, policy)
			SELECT gen_random_uuid(), '6f72672d-0000-4000-8000-000000000000', 'template-' || i, gen_random_uuid(),
				'{"allow_user_autostart":true,"allow_user_ttl":true,"autostart_days":"all"}' FROM generate_series(1, 20) i`, nil},
		{`INSERT INTO dormouse.workspaces (
				id, organization_id, owner_id, template_id, name, created_at, revision, wake_at, autostart, ttl_ns, last_used_at,
				automatic_updates, managed, deleted, failures, backoff_attempts, backoff_cause, backoff_message,
				build_id, build_number, build_version_id, build_transition, build_reason, build_status,
				build_created_at, build_completed_at, build_deadline)
			SELECT gen_random_uuid(), t.organization_id, o.id, t.id, 'workspace-' || i, $2::timestamptz - interval '90 days', 1, d.at,
				'CRON_TZ=Europe/Berlin 30 9 * * 1-5', 28800000000000, $2::timestamptz - interval '8 hours',
				false, false, false, 0, 0, '', '',
				gen_random_uuid(), $3, t.active_version_id, 1, 'autostart', 4,
				$2::timestamptz - interval '9 hours', $2::timestamptz - interval '8 hours', d.at
			FROM generate_series(1, $1) i
			JOIN (SELECT id, row_number() OVER () AS k FROM dormouse.owners) o ON o.k = 1 + (i / 10) % 1000
			JOIN (SELECT id, organization_id, active_version_id, row_number() OVER () AS k FROM dormouse.templates) t ON t.k = 1 + (i / 10) % 20
			CROSS JOIN LATERAL (SELECT ` + groupSQL + ` AS at FROM (SELECT $2::timestamptz AS base) b) d
			ORDER BY random()`, []any{n, pgBegin, builds}},
		{`INSERT INTO dormouse.builds (workspace_id, number, id, version_id, transition, reason, status, created_at, completed_at)
			SELECT w.id, b, gen_random_uuid(), w.build_version_id, 1 + b % 2, 'autostart', 4,
				w.created_at + b * interval '1 day', w.created_at + b * interval '1 day'
			FROM dormouse.workspaces w CROSS JOIN generate_series(1, $1 - 1) b`, []any{builds}},
		{`VACUUM ANALYZE`, nil},
		{`CHECKPOINT`, nil},
	} {
		if _, err := pool.Exec(ctx, s.text, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// renewFleet makes every workspace run again, in the same groups, with tables as fresh as fillFleet leaves them.
func renewFleet(ctx context.Context, pool *pgxpool.Pool) error {
	for _, s := range []struct {
		text string
		args []any
	}{
		{`TRUNCATE dormouse.jobs, dormouse.job_lines`, nil},
		{`UPDATE dormouse.workspaces w SET wake_at = d.at, build_deadline = d.at, build_max_deadline = NULL,
				build_transition = 1, build_status = 4, build_completed_at = build_created_at
			FROM (SELECT id, ` + groupSQL + ` AS at
				FROM (SELECT id, split_part(name, '-', 2)::int AS i, $1::timestamptz AS base FROM dormouse.workspaces) n) d
			WHERE d.id = w.id`, []any{pgBegin}},
		{`VACUUM FULL dormouse.workspaces`, nil},
		{`VACUUM ANALYZE`, nil},
		{`CHECKPOINT`, nil},
	} {
		if _, err := pool.Exec(ctx, s.text, s.args...); err != nil {
			return err
		}
	}
	return nil
}
