package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// createWorkspace inserts nothing if the owner or the template is unknown. Its revision is such that the sum with theirs
// is 1.
var createWorkspace = `
INSERT INTO {workspaces} (revision, owner_id, template_id, template_seen, owner_seen, wake_at,` + createColumns.names("") + `)
SELECT 1 - o.revision - t.revision, o.id, t.id, t.rules, o.rules, ?, ` + createColumns.marks() + `
FROM {owners} o, {templates} t WHERE o.id = ? AND t.id = ?`

var createColumns = slices.Concat(fixedColumns, stateColumns)

// CreateWorkspaces implements [lifecycle.Registry]. Those of one call are created in one transaction, which nobody else
// can write during: import a large fleet in calls of some thousand.
func (s *Store) CreateWorkspaces(ctx context.Context, now time.Time, workspaces ...lifecycle.Workspace) error {
	if len(workspaces) == 0 {
		return ctx.Err()
	}
	err := s.write(ctx, func(t *tx) error {
		for i := range workspaces {
			if err := t.create(now, &workspaces[i]); err != nil {
				return fmt.Errorf("workspace %s: %w", workspaces[i].ID, err)
			}
		}
		return s.record(t)
	})
	if err == nil {
		s.notify()
	}
	return unavailable(err, "create workspaces (%d)", len(workspaces))
}

func (t *tx) create(now time.Time, w *lifecycle.Workspace) error {
	if err := w.Validate(); err != nil {
		return err
	}
	args := append(createColumns.args([]any{micros(now)}, w), blob(w.OwnerID), blob(w.TemplateID))
	n, err := t.exec(createWorkspace, args...)
	switch {
	case rejects(err):
		return t.refusedWorkspace(w.ID, err)
	case err != nil || n == 1:
		return err
	}
	known, err := t.queryRow(`SELECT 1 FROM {owners} WHERE id = ?`, []any{blob(w.OwnerID)}, new(int))
	switch {
	case err != nil:
		return err
	case !known:
		return invalid.New("Workspace.OwnerID", w.OwnerID, "is unknown")
	}
	known, err = t.queryRow(`SELECT 1 FROM {templates} WHERE id = ?`, []any{blob(w.TemplateID)}, new(int))
	switch {
	case err != nil:
		return err
	case !known:
		return invalid.New("Workspace.TemplateID", w.TemplateID, "is unknown")
	}
	return errNotWritten
}

// refusedWorkspace says why a workspace was refused: because of its id, which is taken, or as the database says it.
func (t *tx) refusedWorkspace(id uuid.UUID, why error) error {
	taken, err := t.queryRow(`SELECT 1 FROM {workspaces} WHERE id = ?`, []any{blob(id)}, new(int))
	switch {
	case err != nil:
		return err
	case taken:
		return invalid.New("Workspace.ID", id, "exists already")
	}
	return why
}
