package memory

import (
	"bytes"
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// List implements [lifecycle.Registry]. A page in the order of ids or wakes reads on from where the page before ended; one of
// an owner reads that owner's workspaces; one by name, or of deleted workspaces, reads and sorts all.
func (s *Store) List(ctx context.Context, q lifecycle.ListQuery) ([]lifecycle.Snapshot, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	each, sorted := s.candidates(&q)
	var found []lifecycle.Snapshot
	var row lifecycle.Snapshot
	each(func(slot uint32) bool {
		row = lifecycle.Snapshot{}
		if s.read(slot, &row); q.Matches(&row) && q.Follows(&row) {
			found = append(found, row)
		}
		return !sorted || len(found) < q.Limit
	})
	if !sorted {
		slices.SortFunc(found, func(a, b lifecycle.Snapshot) int { return q.Compare(&a, &b) })
	}
	return found[:min(len(found), q.Limit):min(len(found), q.Limit)], ctx.Err()
}

// candidates goes through the slots in which a page may be, and says whether it does so in the order of the query.
func (s *Store) candidates(q *lifecycle.ListQuery) (each func(func(slot uint32) bool), sorted bool) {
	inOrder := func(o *order, from entry) func(func(uint32) bool) {
		return func(yield func(uint32) bool) { o.after(from, func(e entry) bool { return yield(e.slot) }) }
	}
	switch {
	case q.OwnerID != uuid.Nil:
		return func(yield func(uint32) bool) {
			if o, ok := s.owners.get(q.OwnerID); ok {
				s.fleet.each(o.members, ofOwner, func(slot uint32, _ *row) { yield(slot) })
			}
		}, false
	case q.Order == lifecycle.ListByWake:
		from := beginning()
		if !q.AfterWake.IsZero() {
			from = entryOf(micros(q.AfterWake), q.After, none)
		}
		return inOrder(&s.fleet.byWake, from), true
	case q.Order == lifecycle.ListByID && !slices.Contains(q.Statuses, lifecycle.StatusDeleted):
		from := beginning()
		if q.After != uuid.Nil {
			from = entryOf(0, q.After, none)
		}
		return inOrder(&s.fleet.byID, from), true
	}
	return s.everything, false
}

// everything goes through all workspaces, in no order.
func (s *Store) everything(yield func(slot uint32) bool) {
	for _, slot := range s.fleet.slots {
		if !yield(slot) {
			return
		}
	}
}

// CountStatuses implements [lifecycle.Catalog].
func (s *Store) CountStatuses(ctx context.Context, q lifecycle.CountQuery) (map[lifecycle.Status]int, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	counts := map[lifecycle.Status]int{}
	var row lifecycle.Snapshot
	s.everything(func(slot uint32) bool {
		row = lifecycle.Snapshot{}
		if s.read(slot, &row); q.Matches(&row) {
			counts[row.Status()]++
		}
		return true
	})
	return counts, ctx.Err()
}

// Templates implements [lifecycle.Catalog].
func (s *Store) Templates(ctx context.Context, q lifecycle.TemplateQuery) ([]lifecycle.Template, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return pageOf(s.templates.rows, q.After, q.Limit, func(t *template) (lifecycle.Template, uuid.UUID, bool) {
		return t.Template, t.ID, q.Matches(&t.Template)
	}), ctx.Err()
}

// Owners implements [lifecycle.Catalog].
func (s *Store) Owners(ctx context.Context, q lifecycle.OwnerQuery) ([]lifecycle.Owner, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return pageOf(s.owners.rows, q.After, q.Limit, func(o *owner) (lifecycle.Owner, uuid.UUID, bool) {
		return o.Owner, o.ID, true
	}), ctx.Err()
}

// pageOf is a page by id of rows that have no order.
func pageOf[R, V any](rows []R, after uuid.UUID, limit int, of func(*R) (v V, id uuid.UUID, ok bool)) []V {
	type found struct {
		id uuid.UUID
		v  V
	}
	var all []found
	for i := range rows {
		if v, id, ok := of(&rows[i]); ok && bytes.Compare(id[:], after[:]) > 0 {
			all = append(all, found{id, v})
		}
	}
	slices.SortFunc(all, func(a, b found) int { return bytes.Compare(a.id[:], b.id[:]) })
	page := make([]V, min(len(all), limit))
	for i := range page {
		page[i] = all[i].v
	}
	return page
}
