package rendercache

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
)

const (
	shardBits  = 6
	shardCount = 1 << shardBits
)

// table is the entries by key, in shards chosen by the upper bits of a seeded hash. The full key is compared on every
// lookup.
type table[K comparable, V any] struct {
	seed   maphash.Seed
	groups func(K) (version, owner uuid.UUID)
	shards [shardCount]shard[K, V]

	// What the shards hold together, loading entries apart.
	entries, weight atomic.Int64
	held            holdings
	recent          recentCauses
}

// shard keeps what hits read and what others write on cache lines of their own.
type shard[K comparable, V any] struct {
	index index[K, V]
	_     [40]byte

	mu sync.RWMutex
	// residents are the same entries, densely, for random choice and for scans.
	residents []*entry[K, V]
	lists     [2]lists
	flights   map[*flight[V]]struct{}
	_         [24]byte
}

func (t *table[K, V]) init(groups func(K) (version, owner uuid.UUID)) {
	t.seed, t.groups = maphash.MakeSeed(), groups
	for i := range t.shards {
		s := &t.shards[i]
		s.flights = make(map[*flight[V]]struct{})
		s.index.hash = t.hash
	}
}

func (t *table[K, V]) hash(key K) uint64 { return maphash.Comparable(t.seed, key) }

func (t *table[K, V]) shard(hash uint64) *shard[K, V] { return &t.shards[hash>>(64-shardBits)] }

// unfindable reports whether a key differs from itself, as one with a NaN in it does. It could be stored but never found.
func unfindable[K comparable](key K) bool {
	again := key
	return key != again
}

// holds reports whether the entry is in the shard still. Any lock will do.
func (s *shard[K, V]) holds(e *entry[K, V]) bool { return e.slot >= 0 }

// insert puts an entry where there is none. The shard's lock is held.
func (t *table[K, V]) insert(s *shard[K, V], hash uint64, e *entry[K, V]) {
	e.slot = int32(len(s.residents))
	s.residents = append(s.residents, e)
	s.index.add(hash, e)
	t.link(s, e)
	if e.state() != loading {
		t.count(e)
	}
}

// exchange puts an entry with the same key in the place of another, which hits may be reading. The shard's lock is held.
func (t *table[K, V]) exchange(s *shard[K, V], old, e *entry[K, V]) {
	e.slot, e.links = old.slot, old.links
	s.residents[e.slot] = e
	s.index.exchange(t.hash(e.key), old, e)
	old.slot = -1
	old.turn(removed)
}

// count adds an entry to the totals.
func (t *table[K, V]) count(e *entry[K, V]) {
	t.entries.Add(1)
	t.weight.Add(e.weight)
	t.hold(e, 1)
}

// remove takes an entry out and returns what the hook must see. A refresh of it is given up; a render that
// callers wait for goes on, but can no longer be stored. The shard's lock is held.
func (t *table[K, V]) remove(s *shard[K, V], e *entry[K, V], why EvictCause) removal[K, V] {
	if e.refreshing() {
		e.flight.Load().leave()
	}
	gone := t.discount(e, why)
	e.turn(removed)
	hash := t.hash(e.key)
	s.index.drop(hash, e)
	t.unlink(s, e)
	t.vacate(s, e)
	t.recent.remember(hash, why.miss())
	return gone
}

// discount takes an entry that is about to leave out of the totals and returns what the hook must see: nothing of a
// key that was only being rendered.
func (t *table[K, V]) discount(e *entry[K, V], why EvictCause) removal[K, V] {
	if e.state() == loading {
		return removal[K, V]{}
	}
	t.entries.Add(-1)
	t.weight.Add(-e.weight)
	t.hold(e, -1)
	return removal[K, V]{key: e.key, value: e.value, cause: why, valued: e.state().valued(), counted: true}
}

// vacate fills the entry's slot with the last resident.
func (t *table[K, V]) vacate(s *shard[K, V], e *entry[K, V]) {
	last := int32(len(s.residents) - 1)
	if moved := s.residents[last]; moved != e {
		t.relink(s, moved, e.slot)
		moved.slot = e.slot
		s.residents[e.slot] = moved
	}
	s.residents[last] = nil
	s.residents = s.residents[:last]
	e.slot = -1
}
