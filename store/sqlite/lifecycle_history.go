package sqlite

import (
	"context"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

var builtFields = buildFields("", func(b *build) *build { return b })

// selectBuilds lists the latest build, which lives in the workspace's row, before those that it and others have replaced.
var selectBuilds = `
SELECT` + builtFields.names() + ` FROM (
	SELECT` + latestColumns.as(buildColumns) + `
	FROM {workspaces} WHERE id = ?1 AND build_number > 0 AND build_number < ?2
	UNION ALL
	SELECT` + buildColumns.names("") + `
	FROM {builds} WHERE workspace_id = ?1 AND number < ?2
)
ORDER BY number DESC LIMIT ?3`

// Builds implements [lifecycle.History].
func (s *Store) Builds(ctx context.Context, workspace uuid.UUID, before int64, limit int) ([]lifecycle.Build, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	var found []lifecycle.Build
	err := s.ready(ctx)
	if err == nil {
		err = s.query(ctx, selectBuilds, func(r rows) error {
			var b build
			err := r.Scan(builtFields.targets(&b)...)
			found = append(found, b)
			return err
		}, blob(workspace), before, limit)
	}
	return found, unavailable(err, "builds of workspace %s", workspace)
}

// PruneBuilds implements [lifecycle.Pruner]. The latest build of a workspace counts with the workspace. What a table of the host
// refers to stays, and keeps nothing else.
func (s *Store) PruneBuilds(ctx context.Context, before time.Time, limit int) (n int, err error) {
	n, err = pruneBuilds(before).run(ctx, s, limit)
	if err == nil {
		var gone int
		gone, err = pruneWorkspaces(before).run(ctx, s, limit-n)
		n += gone
	}
	return n, unavailable(err, "prune builds that ended before %v", before)
}

// buildKey is the key of a build.
type buildKey struct {
	workspace uuid.UUID
	number    int64
}

func pruneBuilds(before time.Time) pruning[buildKey] {
	return pruning[buildKey]{
		what: "build",
		page: func(t *tx, limit int, passed []buildKey) ([]buildKey, error) {
			return keys(t, func(b *buildKey) []any { return []any{&b.workspace, &b.number} }, `
				SELECT workspace_id, number FROM {builds} INDEXED BY {builds_completed} WHERE completed_at < ?
				ORDER BY completed_at, workspace_id, number LIMIT ? OFFSET ?`, micros(before), limit, len(passed))
		},
		remove: func(t *tx, b buildKey) (bool, error) {
			return true, t.execOne(`DELETE FROM {builds} WHERE workspace_id = ? AND number = ?`, blob(b.workspace), b.number)
		},
	}
}

// pruneWorkspaces deletes deleted workspaces, each with its latest build and with what is left of the others: those that
// have no end, or claim one that comes later.
func pruneWorkspaces(before time.Time) pruning[uuid.UUID] {
	return pruning[uuid.UUID]{
		what: "deleted workspace",
		page: func(t *tx, limit int, passed []uuid.UUID) ([]uuid.UUID, error) {
			return keys(t, func(id *uuid.UUID) []any { return []any{id} }, `
				SELECT id FROM {workspaces} INDEXED BY {workspaces_deleted} WHERE deleted = 1 AND build_completed_at < ?
				ORDER BY build_completed_at, rowid LIMIT ? OFFSET ?`, micros(before), limit, len(passed))
		},
		remove: func(t *tx, id uuid.UUID) (bool, error) {
			_, err := t.exec(`DELETE FROM {builds} WHERE workspace_id = ?`, blob(id))
			if err == nil {
				err = t.execOne(`DELETE FROM {workspaces} WHERE id = ?`, blob(id))
			}
			return true, err
		},
	}
}
