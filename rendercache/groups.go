package rendercache

import "github.com/google/uuid"

// The invalidation index: per shard, the entries of one version and those of one owner are doubly linked lists. The
// links are positions in the shard's residents, not pointers, which halves them; whoever moves an entry relinks it.

const (
	byVersion = iota
	byOwner
)

// link is an entry's place in one list; noSlot ends it.
type link struct{ prev, next int32 }

const noSlot = -1

func (t *table[K, V]) groupsOf(key K) [2]uuid.UUID {
	if t.groups == nil {
		return [2]uuid.UUID{}
	}
	version, owner := t.groups(key)
	return [2]uuid.UUID{byVersion: version, byOwner: owner}
}

// link puts the entry at the head of its lists.
func (t *table[K, V]) link(s *shard[K, V], e *entry[K, V]) {
	for kind, id := range t.groupsOf(e.key) {
		if id == uuid.Nil {
			continue
		}
		head, ok := s.heads[kind][id]
		if !ok {
			head = noSlot
		} else {
			s.residents[head].links[kind].prev = e.slot
		}
		e.links[kind] = link{prev: noSlot, next: head}
		s.heads[kind][id] = e.slot
	}
}

func (t *table[K, V]) unlink(s *shard[K, V], e *entry[K, V]) {
	for kind, id := range t.groupsOf(e.key) {
		if id == uuid.Nil {
			continue
		}
		l := e.links[kind]
		if l.next != noSlot {
			s.residents[l.next].links[kind].prev = l.prev
		}
		switch {
		case l.prev != noSlot:
			s.residents[l.prev].links[kind].next = l.next
		case l.next != noSlot:
			s.heads[kind][id] = l.next
		default:
			delete(s.heads[kind], id)
		}
	}
}

// relink tells an entry's neighbours that it moves to another slot.
func (t *table[K, V]) relink(s *shard[K, V], e *entry[K, V], slot int32) {
	for kind, id := range t.groupsOf(e.key) {
		if id == uuid.Nil {
			continue
		}
		l := e.links[kind]
		if l.next != noSlot {
			s.residents[l.next].links[kind].prev = slot
		}
		if l.prev != noSlot {
			s.residents[l.prev].links[kind].next = slot
		} else {
			s.heads[kind][id] = slot
		}
	}
}

// group returns the entries of one version or owner in a shard. Any lock will do.
func (s *shard[K, V]) group(kind int, id uuid.UUID) []*entry[K, V] {
	var members []*entry[K, V]
	slot, ok := s.heads[kind][id]
	for ok && slot != noSlot {
		e := s.residents[slot]
		members = append(members, e)
		slot = e.links[kind].next
	}
	return members
}
