package rendercache

import (
	"hash/maphash"
	"math/bits"

	"github.com/google/uuid"
)

// The invalidation index: per shard, the entries of one version and those of one owner are in one doubly linked list.
// The links are positions in the shard's residents, not pointers, which halves them; whoever moves an entry relinks it.
//
// A list is found by a hash of its id, and ids whose hashes meet share it: whoever walks it compares. A map by id would
// know better, and cost five times the memory: in 64 shards hardly two entries have the same owner, so that it would
// have a slot for nearly each of them.

const (
	byVersion = iota
	byOwner
)

// link is an entry's place in one list; noSlot ends it.
type link struct{ prev, next int32 }

const noSlot = -1

// residentsPerList bounds the lists' mean length, and so the entries of other groups that an invalidation passes in a shard.
const residentsPerList = 2

// lists are the heads of one kind's lists. They are added one by one as the shard grows, each taking its share out of
// one other list (linear hashing), so that no insertion has to file everything anew under the lock.
type lists []int32

// at returns where the list of a hash begins.
func (l lists) at(hash uint64) *int32 {
	mask := uint64(1)<<bits.Len(uint(len(l)-1)) - 1
	i := hash & mask
	if i >= uint64(len(l)) { // not split off yet
		i &= mask >> 1
	}
	return &l[i]
}

// parent returns the list that the one at i splits off from.
func parent(i int) int { return i &^ (1 << (bits.Len(uint(i)) - 1)) }

func (t *table[K, V]) groupsOf(key K) [2]uuid.UUID {
	if t.groups == nil {
		return [2]uuid.UUID{}
	}
	version, owner := t.groups(key)
	return [2]uuid.UUID{byVersion: version, byOwner: owner}
}

// list returns the head of the list that an id is in.
func (t *table[K, V]) list(s *shard[K, V], kind int, id uuid.UUID) *int32 {
	return s.lists[kind].at(t.hashOf(id))
}

func (t *table[K, V]) hashOf(id uuid.UUID) uint64 { return maphash.Bytes(t.seed, id[:]) }

// link puts the entry, the last of the residents, into its lists.
func (t *table[K, V]) link(s *shard[K, V], e *entry[K, V]) {
	for kind, id := range t.groupsOf(e.key) {
		if id == uuid.Nil {
			continue
		}
		if len(s.residents) > residentsPerList*len(s.lists[kind]) {
			t.split(s, kind)
		}
		t.push(s, kind, id, e)
	}
}

// push puts the entry at the head of a list.
func (t *table[K, V]) push(s *shard[K, V], kind int, id uuid.UUID, e *entry[K, V]) {
	head := t.list(s, kind, id)
	if *head != noSlot {
		s.residents[*head].links[kind].prev = e.slot
	}
	e.links[kind] = link{prev: noSlot, next: *head}
	*head = e.slot
}

// split adds a list and files the members of its parent anew.
func (t *table[K, V]) split(s *shard[K, V], kind int) {
	i := len(s.lists[kind])
	s.lists[kind] = append(s.lists[kind], noSlot)
	if i == 0 {
		return
	}
	head := &s.lists[kind][parent(i)]
	slot := *head
	*head = noSlot
	for slot != noSlot {
		e := s.residents[slot]
		slot = e.links[kind].next
		t.push(s, kind, t.groupsOf(e.key)[kind], e)
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
		if l.prev != noSlot {
			s.residents[l.prev].links[kind].next = l.next
		} else {
			*t.list(s, kind, id) = l.next
		}
	}
}

// relink has an entry's neighbours point to the slot that it moves to.
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
			*t.list(s, kind, id) = slot
		}
	}
}

// group returns the entries of one version or owner in a shard. Any lock will do.
func (t *table[K, V]) group(s *shard[K, V], kind int, id uuid.UUID) []*entry[K, V] {
	if id == uuid.Nil || len(s.lists[kind]) == 0 {
		return nil
	}
	var members []*entry[K, V]
	for slot := *t.list(s, kind, id); slot != noSlot; {
		e := s.residents[slot]
		if t.groupsOf(e.key)[kind] == id {
			members = append(members, e)
		}
		slot = e.links[kind].next
	}
	return members
}
