package tick

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// The reference pattern, in tables of its own made from the same schema and filled with the same fleet: every build in one
// table, the latest found by its number, its outcome in the row of its job; one query with all conditions OR-ed finds what may
// be due, and each workspace found is loaded row by row and changed in a repeatable-read transaction of its own, ten at a
// time. Jobs are the very table of the store; workspaces and builds have the columns and the indexes that theirs
// have there, but for the due index, and a foreign key for each reference.

// makeReference copies the fleet.
func makeReference(ctx context.Context, pool *pgxpool.Pool) error {
	for _, text := range []string{
		`CREATE SCHEMA reference`,
		`CREATE TABLE reference.workspaces AS SELECT id, organization_id, owner_id, template_id, name, autostart, ttl_ns, last_used_at,
			dormant_at, deleting_at, deleted, created_at AS updated_at FROM dormouse.workspaces`,
		`ALTER TABLE reference.workspaces SET (fillfactor = 80), ADD PRIMARY KEY (id),
			ADD FOREIGN KEY (owner_id) REFERENCES dormouse.owners, ADD FOREIGN KEY (template_id) REFERENCES dormouse.templates`,
		`CREATE INDEX ON reference.workspaces (template_id, id)`,
		`CREATE INDEX ON reference.workspaces (owner_id, id)`,
		`CREATE TABLE reference.jobs (LIKE dormouse.jobs INCLUDING ALL)`,
		`INSERT INTO reference.jobs (id, organization_id, tenant_id, type, tag_set, priority, weight, trace, created_at, state, place,
				ready_at, ready, started_at, ended_at)
			SELECT b.id, w.organization_id, w.owner_id, 'workspace_build', 1, 0, 1, '', b.created_at, 2, 0, b.created_at, false,
				b.created_at, b.completed_at
			FROM (SELECT id, workspace_id, created_at, completed_at FROM dormouse.builds
				UNION ALL SELECT build_id, id, build_created_at, build_completed_at FROM dormouse.workspaces) b
			JOIN dormouse.workspaces w ON w.id = b.workspace_id`,
		`CREATE TABLE reference.builds AS SELECT id, workspace_id, number, version_id, transition, reason, created_at, deadline, max_deadline
			FROM dormouse.builds UNION ALL SELECT build_id, id, build_number, build_version_id, build_transition, build_reason,
			build_created_at, build_deadline, build_max_deadline FROM dormouse.workspaces`,
		`ALTER TABLE reference.builds ADD PRIMARY KEY (id), ADD UNIQUE (workspace_id, number),
			ADD FOREIGN KEY (workspace_id) REFERENCES reference.workspaces ON DELETE CASCADE, ADD FOREIGN KEY (id) REFERENCES reference.jobs`,
		`CREATE INDEX ON reference.builds (created_at)`,
		`UPDATE reference.builds SET deadline = NULL WHERE deadline < (SELECT min(wake_at) + interval '10 minutes' FROM dormouse.workspaces)`,
		`CREATE TABLE reference.audit (id uuid PRIMARY KEY, workspace_id uuid NOT NULL, at timestamptz NOT NULL, what text NOT NULL)`,
		`VACUUM ANALYZE`, `CHECKPOINT`,
	} {
		if _, err := pool.Exec(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

const eligibleSQL = `
	SELECT w.id
	FROM reference.workspaces w
	JOIN reference.builds b ON b.workspace_id = w.id
	JOIN reference.jobs j ON j.id = b.id
	JOIN dormouse.templates t ON t.id = w.template_id
	JOIN dormouse.owners o ON o.id = w.owner_id
	WHERE b.number = (SELECT max(n.number) FROM reference.builds n WHERE n.workspace_id = w.id)
		AND NOT w.deleted
		AND (
			(j.ended_at IS NOT NULL AND j.error = '' AND b.transition = 1 AND (b.deadline <= $1 OR o.status = 2))
			OR (b.transition = 2 AND j.error = '' AND w.autostart <> '' AND o.status = 0)
			OR (j.error <> '' AND j.ended_at < $1::timestamptz - interval '1 hour')
			OR (w.dormant_at IS NULL AND w.last_used_at < $1::timestamptz - interval '30 days')
			OR (w.deleting_at IS NOT NULL AND w.deleting_at < $1)
		)`

func eligible(ctx context.Context, pool *pgxpool.Pool, now time.Time) ([]uuid.UUID, error) {
	rows, err := pool.Query(ctx, eligibleSQL, now)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (id uuid.UUID, err error) {
		var raw [16]byte
		err = row.Scan(&raw)
		return raw, err
	})
}

// referenceTick does what is due at now, and returns how much that was.
func referenceTick(ctx context.Context, pool *pgxpool.Pool, now time.Time) (int, error) {
	ids, err := eligible(ctx, pool, now)
	if err != nil {
		return 0, err
	}
	var g errgroup.Group
	g.SetLimit(10)
	for _, id := range ids {
		g.Go(func() error {
			return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
				return referenceStop(ctx, tx, id, now)
			})
		})
	}
	return len(ids), g.Wait()
}

// referenceStop is one transaction with twelve single-row statements.
func referenceStop(ctx context.Context, tx pgx.Tx, workspace uuid.UUID, now time.Time) error {
	id, next, audit := [16]byte(workspace), [16]byte(uuid.New()), [16]byte(uuid.New())
	var organization, owner, template, build, version, any16 [16]byte
	var number, count int64
	var status int16
	var locked bool
	one := func(text string, args []any, into ...any) func() error {
		return func() error { return tx.QueryRow(ctx, text, args...).Scan(into...) }
	}
	if err := one(`SELECT pg_try_advisory_xact_lock(hashtextextended($1::uuid::text, 0))`, []any{id}, &locked)(); err != nil || !locked {
		return err
	}
	for _, step := range []func() error{
		one(`SELECT organization_id, owner_id, template_id FROM reference.workspaces WHERE id = $1`, []any{id}, &organization, &owner, &template),
		one(`SELECT id, number, version_id FROM reference.builds WHERE workspace_id = $1 ORDER BY number DESC LIMIT 1`, []any{id}, &build, &number, &version),
		func() error { return one(`SELECT id FROM reference.jobs WHERE id = $1`, []any{build}, &any16)() },
		func() error {
			return one(`SELECT active_version_id FROM dormouse.templates WHERE id = $1`, []any{template}, &any16)()
		},
		func() error { return one(`SELECT status FROM dormouse.owners WHERE id = $1`, []any{owner}, &status)() },
		func() error {
			return one(`SELECT count(*) FROM dormouse.templates WHERE id = $1`, []any{template}, &count)()
		},
		one(`SELECT max(number) FROM reference.builds WHERE workspace_id = $1`, []any{id}, &number),
		func() error {
			payload, err := json.Marshal(lifecycle.Job{
				ID: next, OrganizationID: organization, OwnerID: owner, WorkspaceID: workspace, TemplateID: template,
				TemplateVersionID: version, BuildNumber: number + 1, Transition: lifecycle.TransitionStop, Reason: "autostop", CreatedAt: now,
			})
			if err != nil {
				return err
			}
			return one(`INSERT INTO reference.jobs (id, organization_id, tenant_id, type, tag_set, priority, weight, payload, trace,
					created_at, place, ready_at, ready)
				VALUES ($1, $2, $3, 'workspace_build', 1, 0, 1, $4, '', $5, $6, $5, true) RETURNING id`,
				[]any{next, organization, owner, payload, now, number}, &any16)()
		},
		func() error {
			return one(`INSERT INTO reference.builds VALUES ($1, $2, $3, $4, 2, 'autostop', $5) RETURNING id`, []any{next, id, number + 1, version, now}, &any16)()
		},
		one(`UPDATE reference.workspaces SET updated_at = $2 WHERE id = $1 RETURNING id`, []any{id, now}, &any16),
		one(`INSERT INTO reference.audit VALUES ($1, $2, $3, 'autostop') RETURNING id`, []any{audit, id, now}, &any16),
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
