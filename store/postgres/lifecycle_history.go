package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// builtRow is where a build is read into.
type builtRow struct {
	build
	buildRow
}

var builtFields = slices.Concat(
	fields[builtRow]{
		{"id", func(r *builtRow) any { return toID(&r.ID) }},
		{"number", func(r *builtRow) any { return &r.Number }},
	},
	buildFields("", func(r *builtRow) (*build, *buildRow) { return &r.build, &r.buildRow }),
)

// buildsSQL lists the latest build, which lives in the workspace's row, before those that it and others have replaced.
var buildsSQL = `
	SELECT` + builtFields.names() + `
	FROM (
		SELECT` + buildColumns.names("build_") + `
		FROM dormouse.workspaces
		WHERE id = $1 AND build_number > 0 AND ($2 <= 0 OR build_number < $2)
		UNION ALL
		(SELECT` + buildColumns.names("") + `
		FROM dormouse.builds
		WHERE workspace_id = $1 AND ($2::bigint <= 0 OR number < $2)
		ORDER BY number DESC LIMIT $3)
	) b (` + buildColumns.names("") + `)
	ORDER BY number DESC LIMIT $3`

// Builds implements [lifecycle.History].
func (s *Store) Builds(ctx context.Context, workspace uuid.UUID, before int64, limit int) (builds []lifecycle.Build, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		rows, err := s.db.Query(ctx, s.sql(buildsSQL), key(workspace), before, limit)
		if err != nil {
			return err
		}
		builds, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (_ lifecycle.Build, err error) {
			var r builtRow
			err = row.Scan(builtFields.targets(&r)...)
			r.into(&r.build)
			return r.build, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list builds of workspace %s: %w", workspace, err)
	}
	return builds, nil
}

const pruneBuildsSQL = `
	WITH old AS (
		SELECT workspace_id, number FROM dormouse.builds
		WHERE completed_at < $1
		ORDER BY completed_at LIMIT $2
		FOR UPDATE SKIP LOCKED
	)
	DELETE FROM dormouse.builds b USING old WHERE b.workspace_id = old.workspace_id AND b.number = old.number`

// pruneWorkspacesSQL runs when no old build is left, so a workspace takes few builds along, those without an end.
const pruneWorkspacesSQL = `
	WITH old AS (
		SELECT id FROM dormouse.workspaces
		WHERE deleted AND build_completed_at < $1
		ORDER BY build_completed_at LIMIT $2
		FOR UPDATE SKIP LOCKED
	)
	DELETE FROM dormouse.workspaces w USING old WHERE w.id = old.id`

// prunableSQL finds the same workspaces, for those that cannot be deleted together.
const (
	prunableSQL = `
	SELECT id FROM dormouse.workspaces
	WHERE deleted AND build_completed_at < $1
	ORDER BY build_completed_at, id LIMIT $2 OFFSET $3`
	pruneWorkspaceSQL = `DELETE FROM dormouse.workspaces WHERE id = $1 AND deleted`
)

// PruneBuilds implements [lifecycle.Pruner]. The latest build of a workspace counts with the workspace. A workspace that cannot be
// deleted, because somebody holds a row of it or a table of the host refers to it, stays, and keeps no other.
func (s *Store) PruneBuilds(ctx context.Context, before time.Time, limit int) (n int, err error) {
	builds, err := s.changeUnheld(ctx, batchWaitSQL, pruneBuildsSQL, before, limit)
	if n = builds; err == nil && n < limit {
		var gone int
		gone, err = s.pruneWorkspaces(ctx, before, limit-n)
		n += gone
	}
	return n, wrap(err, "prune")
}

func (s *Store) pruneWorkspaces(ctx context.Context, before time.Time, limit int) (n int, err error) {
	n, err = s.changeUnheld(ctx, batchWaitSQL, pruneWorkspacesSQL, before, limit)
	if !ofOneRow(err) {
		return n, err
	}
	n = 0
	for passed := 0; n < limit; {
		page, err := s.prunable(ctx, before, min(limit-n, 100), passed)
		if err != nil || len(page) == 0 {
			return n, err
		}
		for _, id := range page {
			gone, err := s.changeUnheld(ctx, aloneWaitSQL, pruneWorkspaceSQL, key(id))
			if n += gone; err == nil {
				continue
			}
			if !ofOneRow(err) {
				return n, err
			}
			passed++
			s.cfg.Logger.WarnContext(ctx, "postgres: deleted workspace cannot be pruned", "workspace_id", id, "error", err)
		}
	}
	return n, nil
}

// ofOneRow reports whether an error is about a row, and other rows may go: somebody holds it, or a constraint or a trigger of the host
// keeps it.
func ofOneRow(err error) bool {
	var pg *pgconn.PgError
	return errors.Is(err, errHeld) || errors.As(err, &pg) && (strings.HasPrefix(pg.Code, "23") || strings.HasPrefix(pg.Code, "P0"))
}

func (s *Store) prunable(ctx context.Context, before time.Time, limit, offset int) (page []uuid.UUID, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		page = nil
		rows, err := s.db.Query(ctx, s.sql(prunableSQL), before, limit, offset)
		if err != nil {
			return err
		}
		var id uuid.UUID
		_, err = pgx.ForEachRow(rows, []any{toID(&id)}, func() error { page = append(page, id); return nil })
		return err
	})
	return page, err
}
