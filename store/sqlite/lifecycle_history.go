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

// PruneBuilds implements [lifecycle.Pruner].
func (s *Store) PruneBuilds(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = s.write(ctx, func(t *tx) error {
		n, err = t.prune(before, limit)
		return err
	})
	if err != nil {
		return 0, unavailable(err, "prune builds that ended before %v", before)
	}
	return n, nil
}

func (t *tx) prune(before time.Time, limit int) (int, error) {
	builds, err := t.exec(`
		DELETE FROM {builds} WHERE (workspace_id, number) IN (
			SELECT workspace_id, number FROM {builds} INDEXED BY {builds_completed} WHERE completed_at < ? LIMIT ?)`,
		micros(before), limit)
	if err != nil || int(builds) >= limit {
		return int(builds), err
	}
	workspaces, err := t.pruneWorkspaces(before, limit-int(builds))
	return int(builds) + workspaces, err
}

// pruneWorkspaces deletes deleted workspaces, each with its latest build and with what is left of the others: those that
// have no end, or claim one that comes later.
func (t *tx) pruneWorkspaces(before time.Time, limit int) (int, error) {
	const old = `(
		SELECT id FROM {workspaces} INDEXED BY {workspaces_deleted} WHERE deleted = 1 AND build_completed_at < ?
		ORDER BY build_completed_at, id LIMIT ?)`
	if _, err := t.exec(`DELETE FROM {builds} WHERE workspace_id IN `+old, micros(before), limit); err != nil {
		return 0, err
	}
	n, err := t.exec(`DELETE FROM {workspaces} WHERE id IN `+old, micros(before), limit)
	return int(n), err
}
