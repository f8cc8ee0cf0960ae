package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

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
		WHERE id = $1 AND build_number > 0 AND ($2::bigint <= 0 OR build_number < $2)
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
		rows, _ := s.db.Query(ctx, s.sql(buildsSQL), key(workspace), before, limit)
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

var pruneBuildsSQL = `
	WITH old AS (
		SELECT workspace_id, number FROM dormouse.builds
		WHERE completed_at < $1
		ORDER BY completed_at LIMIT $2
		FOR UPDATE SKIP LOCKED
	), gone AS (
		DELETE FROM dormouse.builds b USING old WHERE b.workspace_id = old.workspace_id AND b.number = old.number
		RETURNING 1
	)
	SELECT NULL::uuid FROM gone` + leftOutSQL("builds", 0, `FROM old HAVING count(*) > (SELECT count(*) FROM gone)`)

// pruneWorkspacesSQL runs when no old build is left, so a workspace takes few builds along, those without an end.
var pruneWorkspacesSQL = `
	WITH old AS (
		SELECT id FROM dormouse.workspaces
		WHERE deleted AND build_completed_at < $1
		ORDER BY build_completed_at LIMIT $2
		FOR UPDATE SKIP LOCKED
	), gone AS (
		DELETE FROM dormouse.workspaces w USING old WHERE w.id = old.id
		RETURNING 1
	)
	SELECT NULL::uuid FROM gone` + leftOutSQL("workspaces", 0, `FROM old HAVING count(*) > (SELECT count(*) FROM gone)`)

// What follows finds the same builds and workspaces, and deletes one, for where they cannot be deleted together.
const (
	completedFirstSQL = `
	SELECT workspace_id, number FROM dormouse.builds WHERE completed_at < $1
	ORDER BY completed_at, workspace_id, number LIMIT $2 OFFSET $3`
	deletedFirstSQL = `
	SELECT id FROM dormouse.workspaces
	WHERE deleted AND build_completed_at < $1
	ORDER BY build_completed_at, id LIMIT $2 OFFSET $3`
)

var (
	pruneBuildSQL     = removeSQL("builds", "workspace_id = $1 AND number = $2 AND completed_at < $3")
	pruneWorkspaceSQL = removeSQL("workspaces", "id = $1 AND deleted")
)

// PruneBuilds implements [lifecycle.Pruner]. The latest build of a workspace counts with the workspace. What cannot be
// deleted, because somebody holds a row of it or a table of the host refers to it, stays, and keeps nothing else.
func (s *Store) PruneBuilds(ctx context.Context, before time.Time, limit int) (n int, err error) {
	n, err = s.pruneBuilds(ctx, before, limit)
	if err == nil && n < limit {
		var gone int
		gone, err = s.pruneWorkspaces(ctx, before, limit-n)
		n += gone
	}
	return n, wrap(err, "prune")
}

// buildKey is the key of a build.
type buildKey struct {
	workspace uuid.UUID
	number    int64
}

func (b buildKey) String() string {
	return fmt.Sprintf("build %d of workspace %s", b.number, b.workspace)
}

func (s *Store) pruneBuilds(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.changeUnheld(ctx, batchWaitSQL, pruneBuildsSQL, before, limit)
	if !ofOneRow(err) {
		return n, err
	}
	page := func(limit, offset int) ([]buildKey, error) {
		return pageOf(ctx, s, func(b *buildKey) []any { return []any{toID(&b.workspace), toInt8(&b.number)} }, completedFirstSQL, before, limit, offset)
	}
	return pruneAlone(ctx, s, "build", limit, page, func(b buildKey) (int, error) {
		return s.changeUnheld(ctx, aloneWaitSQL, pruneBuildSQL, key(b.workspace), b.number, before)
	})
}

func (s *Store) pruneWorkspaces(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.changeUnheld(ctx, batchWaitSQL, pruneWorkspacesSQL, before, limit)
	if !ofOneRow(err) {
		return n, err
	}
	page := func(limit, offset int) ([]uuid.UUID, error) {
		return s.ids(ctx, deletedFirstSQL, before, limit, offset)
	}
	return pruneAlone(ctx, s, "deleted workspace", limit, page, func(id uuid.UUID) (int, error) {
		return s.changeUnheld(ctx, aloneWaitSQL, pruneWorkspaceSQL, key(id))
	})
}
