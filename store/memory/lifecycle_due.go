package memory

import (
	"context"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Due implements [lifecycle.Store]: a binary search, and one step for each row of the page.
func (s *Store) Due(ctx context.Context, q lifecycle.DueQuery) ([]lifecycle.Snapshot, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	slots := s.due(q)
	if len(slots) == 0 {
		return nil, ctx.Err()
	}
	page := make([]lifecycle.Snapshot, len(slots))
	for i, slot := range slots {
		s.read(slot, &page[i])
	}
	return page, ctx.Err()
}

func (s *Store) due(q lifecycle.DueQuery) []uint32 {
	var slots []uint32
	now := micros(q.Now)
	s.fleet.byWake.after(cursor(q.After), func(e entry) bool {
		if e.at > now || len(slots) >= q.Limit {
			return false
		}
		if q.Shard.Count <= 1 || q.Shard.Holds(s.fleet.rows.at(e.slot).id) {
			slots = append(slots, e.slot)
		}
		return true
	})
	return slots
}

// cursor is the key of a place in the due index.
func cursor(c lifecycle.Cursor) entry {
	if c == (lifecycle.Cursor{}) {
		return beginning()
	}
	return entryOf(micros(c.WakeAt), c.ID, none)
}

// beginning is a key before all others: no row has the nil id at that instant.
func beginning() entry { return entryOf(math.MinInt64, uuid.Nil, none) }

// read fills in the snapshot of a slot. The caller holds the lock.
func (s *Store) read(slot uint32, into *lifecycle.Snapshot) {
	r := s.fleet.rows.at(slot)
	s.fleet.readInto(slot, r, &into.Workspace)
	into.Owner, into.Template = s.owners.rows[r.owner].Owner, s.templates.rows[r.template].Template
	into.Engine = s.engine
	into.Workspace.OwnerID, into.Workspace.TemplateID = into.Owner.ID, into.Template.ID
	if r.build != none {
		s.fleet.readBuild(r.build, &into.Build)
	}
}

// Load implements [lifecycle.Store].
func (s *Store) Load(ctx context.Context, ids ...uuid.UUID) ([]lifecycle.Snapshot, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := make([]lifecycle.Snapshot, 0, len(ids))
	seen := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		if slot, ok := s.fleet.slots[id]; ok && !seen[id] {
			seen[id] = true
			found = append(found, lifecycle.Snapshot{})
			s.read(slot, &found[len(found)-1])
		}
	}
	return found, ctx.Err()
}

// NextWake implements [lifecycle.Waker].
func (s *Store) NextWake(ctx context.Context, share lifecycle.Shard) (time.Time, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	slots := s.due(lifecycle.DueQuery{Now: time.UnixMicro(math.MaxInt64), Limit: 1, Shard: share})
	if len(slots) == 0 {
		return time.Time{}, ctx.Err()
	}
	return instant(s.fleet.rows.at(slots[0]).wakeAt), ctx.Err()
}

// Backlog implements [lifecycle.Gauges].
func (s *Store) Backlog(ctx context.Context, now time.Time) (lifecycle.Backlog, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	slots := s.due(lifecycle.DueQuery{Now: now, Limit: math.MaxInt})
	b := lifecycle.Backlog{Due: len(slots), Events: s.outbox.size()}
	if len(slots) > 0 {
		b.OldestDue = instant(s.fleet.rows.at(slots[0]).wakeAt)
	}
	return b, ctx.Err()
}

// WatchWakes implements [lifecycle.Watcher].
func (s *Store) WatchWakes(ctx context.Context, wake func()) error {
	return s.watchers.WatchWakes(ctx, wake)
}
