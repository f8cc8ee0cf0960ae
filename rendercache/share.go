package rendercache

import (
	"sync/atomic"

	"github.com/google/uuid"
)

// holdings are how much each owner holds of a cache, closely enough to tell who holds more than its share: two counters for each
// owner, shared with whose hashes are the same there. An owner counts as the lesser of its two. An exact count would be a map with
// an entry for nearly each entry of the cache.
type holdings struct {
	counters [2][shareCounters]holding
	// entries and weight are an owner's share; weight 0: it is not limited.
	entries, weight int64
}

const (
	shareBits     = 10
	shareCounters = 1 << shareBits
)

type holding struct{ entries, weight atomic.Int64 }

// limit sets the shares. A share of everything is none.
func (h *holdings) limit(share float64, entries int, weight int64) {
	if share < 1 {
		h.entries = max(1, int64(share*float64(entries)))
		h.weight = int64(share * float64(weight))
	}
}

func (h *holdings) of(hash uint64) [2]*holding {
	return [2]*holding{
		&h.counters[0][hash%shareCounters],
		&h.counters[1][hash>>32%shareCounters],
	}
}

// add counts an entry that comes or, with a negative number, goes.
func (h *holdings) add(hash uint64, entries, weight int64) {
	for _, c := range h.of(hash) {
		c.entries.Add(entries)
		c.weight.Add(weight)
	}
}

// over reports whether an owner holds more than its share.
func (h *holdings) over(hash uint64) bool {
	c := h.of(hash)
	return min(c[0].entries.Load(), c[1].entries.Load()) > h.entries ||
		h.weight > 0 && min(c[0].weight.Load(), c[1].weight.Load()) > h.weight
}

// hold counts an entry, or takes it out of the count, for its owner.
func (t *table[K, V]) hold(e *entry[K, V], sign int64) {
	if t.held.entries == 0 {
		return
	}
	if owner := t.groupsOf(e.key)[byOwner]; owner != uuid.Nil {
		t.held.add(t.hashOf(owner), sign, sign*e.weight)
	}
}

// overShare reports whether an entry's owner holds more than its share.
func (t *table[K, V]) overShare(e *entry[K, V]) bool {
	if t.held.entries == 0 {
		return false
	}
	owner := t.groupsOf(e.key)[byOwner]
	return owner != uuid.Nil && t.held.over(t.hashOf(owner))
}
