package memory

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// DeleteTemplate implements [lifecycle.Remover].
func (s *Store) DeleteTemplate(ctx context.Context, id uuid.UUID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.templates.get(id); ok && t.members != (chain{none}) {
		return fmt.Errorf("delete template %s: %w", id, lifecycle.ErrInUse)
	}
	s.templates.remove(id)
	return ctx.Err()
}

// DeleteOwner implements [lifecycle.Remover].
func (s *Store) DeleteOwner(ctx context.Context, id uuid.UUID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, ok := s.owners.get(id); ok && o.members != (chain{none}) {
		return fmt.Errorf("delete owner %s: %w", id, lifecycle.ErrInUse)
	}
	s.owners.remove(id)
	return ctx.Err()
}

// remove leaves an empty row behind, with the nil id.
func (t *table[V]) remove(id uuid.UUID) {
	if slot, ok := t.slots[id]; ok {
		t.rows[slot] = *new(V)
		delete(t.slots, id)
	}
}
