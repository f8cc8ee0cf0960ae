package rendercache

import "github.com/google/uuid"

// Invalidation takes entries out of the table. A render that is running for one of them goes on for those who already
// wait, who asked before; it is not stored, and whoever asks later starts a new one.

// Invalidate drops one key and reports whether it was in the cache or being rendered. O(1).
func (c *Cache[K, V]) Invalidate(key K) bool {
	hash := c.table.hash(key)
	s := c.table.shard(hash)
	s.mu.Lock()
	e := s.index.find(hash, key)
	var gone removal[K, V]
	if e != nil {
		gone = c.table.remove(s, e, EvictKey)
	}
	s.mu.Unlock()
	c.report(gone)
	return e != nil
}

// InvalidateVersion drops everything rendered from a template version and returns the number of keys, including those
// being rendered. O(number of those keys) on average.
func (c *Cache[K, V]) InvalidateVersion(version uuid.UUID) int {
	return c.invalidateGroup(byVersion, version, EvictVersion)
}

// InvalidateOwner drops everything rendered for an owner and returns the number of keys, including those being rendered.
// Call it after the owner's data has changed. O(number of those keys) on average.
func (c *Cache[K, V]) InvalidateOwner(owner uuid.UUID) int {
	return c.invalidateGroup(byOwner, owner, EvictOwner)
}

// Clear drops every key, including those being rendered.
func (c *Cache[K, V]) Clear() {
	for i := range c.table.shards {
		c.report(c.empty(&c.table.shards[i], EvictClear)...)
	}
}

func (c *Cache[K, V]) invalidateGroup(kind int, id uuid.UUID, why EvictCause) (n int) {
	for i := range c.table.shards {
		s := &c.table.shards[i]
		s.mu.Lock()
		gone := c.removeAll(s, c.table.group(s, kind, id), why)
		s.mu.Unlock()
		n += len(gone)
		c.report(gone...)
	}
	return n
}

// removeAll takes entries out from the last to the first, which suits the residents themselves as well. The shard's
// lock is held.
func (c *Cache[K, V]) removeAll(s *shard[K, V], entries []*entry[K, V], why EvictCause) []removal[K, V] {
	var gone []removal[K, V]
	for i := len(entries) - 1; i >= 0; i-- {
		gone = append(gone, c.table.remove(s, entries[i], why))
	}
	return gone
}
