package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// createWorkspace inserts nothing if the owner or the template is unknown. Its revision is such that the sum with theirs
// is 1.
const createWorkspace = `
INSERT INTO {workspaces} (id, share, revision, organization_id, owner_id, template_id, name, created_at, wake_at,
	autostart, autostart_after, ttl, last_used_at, dormant_at, deleting_at, hold_until, reminded_for,
	automatic_updates, managed, deleted, failures, attention_at, backoff_until, backoff_attempts, backoff_cause, backoff_message)
SELECT ?, ?, 1 - o.revision - t.revision, ?, o.id, t.id, ?, ?, ?,
	?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
FROM {owners} o, {templates} t WHERE o.id = ? AND t.id = ?`

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
		return nil
	})
	if err == nil {
		s.watchers.Notify()
	}
	return unavailable(err, "create %d workspaces", len(workspaces))
}

func (t *tx) create(now time.Time, w *lifecycle.Workspace) error {
	args := []any{blob(w.ID), share(w.ID), blob(w.OrganizationID), store.Text(w.Name), micros(w.CreatedAt), micros(now)}
	args = append(mutable(args, w), blob(w.OwnerID), blob(w.TemplateID))
	n, err := t.exec(createWorkspace, args...)
	switch {
	case err != nil && rejects(err) && t.exists(w.ID):
		return fmt.Errorf("the id exists already: %w", errRefused)
	case err != nil || n == 1:
		return err
	}
	known, err := t.queryRow(`SELECT 1 FROM {owners} WHERE id = ?`, []any{blob(w.OwnerID)}, new(int))
	switch {
	case err != nil:
		return err
	case !known:
		return fmt.Errorf("owner %s is unknown: %w", w.OwnerID, errRefused)
	}
	return fmt.Errorf("template %s is unknown: %w", w.TemplateID, errRefused)
}

func (t *tx) exists(id uuid.UUID) bool {
	found, err := t.queryRow(`SELECT 1 FROM {workspaces} WHERE id = ?`, []any{blob(id)}, new(int))
	return found && err == nil
}

// mutable appends the columns of a workspace that changes write, in the order of their statements, the wake excepted.
func mutable(args []any, w *lifecycle.Workspace) []any {
	return append(args,
		store.Text(w.Autostart.Text()), micros(w.AutostartAfter), int64(w.TTL), micros(w.LastUsedAt), micros(w.DormantAt), micros(w.DeletingAt),
		micros(w.HoldUntil), micros(w.RemindedFor), flag(w.AutomaticUpdates), flag(w.Managed), flag(w.Deleted),
		int64(w.Failures), micros(w.AttentionAt),
		micros(w.Backoff.Until), int64(w.Backoff.Attempts), store.Text(string(w.Backoff.Cause)), store.Text(w.Backoff.Message))
}
