package rendercache

import "context"

// due reports whether a hit on a live entry should have it rendered anew: it is old enough, nothing renders it, and
// the last try that brought nothing is long enough ago. It needs no lock.
func (c *Cache[K, V]) due(e *entry[K, V], now int64) bool {
	if c.refreshAfter == 0 || now-e.born <= c.refreshAfter {
		return false
	}
	f := e.flight.Load()
	return f == nil || now > f.again
}

// refresh starts a render behind a hit. Its one waiter is the cache itself: it is stopped when the entry leaves the
// table or the cache is closed, not when the caller goes away.
func (c *Cache[K, V]) refresh(ctx context.Context, req Request[K, V], hash uint64, now int64) {
	s := c.table.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.index.find(hash, req.Key)
	if c.closed.Load() || e == nil || !e.state().valued() || !c.due(e, now) {
		return
	}
	c.counters.refreshes.Add(1)
	c.launch(ctx, req.Render, s, e, false)
}
