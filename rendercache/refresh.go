package rendercache

import "context"

// due reports whether a hit on a live entry should have it rendered anew: it is old enough, nothing renders it, and
// the last try that brought nothing is long enough ago. Any lock of its shard will do.
func (c *Cache[K, V]) due(e *entry[K, V], now int64) bool {
	if c.refreshAfter == 0 || now-e.born <= c.refreshAfter {
		return false
	}
	return e.flight == nil || !e.flight.running && now-e.flight.ended > c.refreshAfter
}

// refresh starts a render behind a hit. Its one waiter is the cache itself: it is stopped when the entry leaves the
// table or the cache is closed, not when the caller goes away.
func (c *Cache[K, V]) refresh(ctx context.Context, req Request[K, V], hash uint64, now int64) {
	s := c.table.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.lookup(hash, req.Key)
	if c.closed.Load() || e == nil || e.state != ready || !c.due(e, now) {
		return
	}
	c.counters.refreshes.Add(1)
	c.launch(ctx, req.Render, s, e)
}
