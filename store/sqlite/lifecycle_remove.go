package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// DeleteTemplate implements [lifecycle.Remover].
func (s *Store) DeleteTemplate(ctx context.Context, id uuid.UUID) error {
	return s.remove(ctx, "template", id, `SELECT 1 FROM {workspaces} WHERE template_id = ? LIMIT 1`, ` FROM {templates} WHERE id = ?`)
}

// DeleteOwner implements [lifecycle.Remover].
func (s *Store) DeleteOwner(ctx context.Context, id uuid.UUID) error {
	return s.remove(ctx, "owner", id, `SELECT 1 FROM {workspaces} WHERE owner_id = ? LIMIT 1`, ` FROM {owners} WHERE id = ?`)
}

// remove deletes a row unless a workspace has it. It asks, because a host may have foreign keys switched off.
func (s *Store) remove(ctx context.Context, what string, id uuid.UUID, used, row string) error {
	err := s.write(ctx, func(t *tx) error {
		found, err := t.queryRow(used, []any{blob(id)}, new(int))
		if err == nil && found {
			err = lifecycle.ErrInUse
		}
		if err == nil {
			_, err = t.remove(row, blob(id))
		}
		return err
	})
	if referred(err) {
		err = fmt.Errorf("a row of the host refers to it: %w: %w", lifecycle.ErrInUse, err)
	}
	if errors.Is(err, lifecycle.ErrInUse) {
		return fmt.Errorf("delete %s %s: %w", what, id, err)
	}
	return unavailable(err, "delete %s %s", what, id)
}
