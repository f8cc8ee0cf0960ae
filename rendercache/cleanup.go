package rendercache

import (
	"sync"

	"github.com/coder/quartz"
)

const (
	cleanupTag = "render-cache-cleanup"

	// scanSlice bounds how long the clean-up holds a shard's read lock: a writer waits for it, and whoever misses waits
	// for the writer. deadSlice bounds the write lock.
	scanSlice = 1024
	deadSlice = 64
)

// sweeper is the clean-up's timer. It is a timer that arms itself anew, not a ticker: that needs no goroutine while
// idle, and a mock clock has one event per interval.
type sweeper struct {
	mu      sync.Mutex
	timer   *quartz.Timer
	running sync.WaitGroup
}

func (c *Cache[K, V]) startSweeping() {
	c.sweeper.mu.Lock() // the first event may come before the timer is known
	defer c.sweeper.mu.Unlock()
	c.sweeper.timer = c.cfg.Clock.AfterFunc(c.cfg.CleanupInterval, c.sweep, cleanupTag)
}

func (c *Cache[K, V]) stopSweeping() {
	c.sweeper.mu.Lock()
	defer c.sweeper.mu.Unlock()
	c.sweeper.timer.Stop(cleanupTag)
}

// sweep is the timer's function. Closed is set before the timer is stopped under the same lock, so either this sees it
// or Close waits for this.
func (c *Cache[K, V]) sweep() {
	c.sweeper.mu.Lock()
	if c.closed.Load() {
		c.sweeper.mu.Unlock()
		return
	}
	c.sweeper.running.Add(1)
	c.sweeper.mu.Unlock()
	defer c.sweeper.running.Done()

	c.removeExpired()

	c.sweeper.mu.Lock()
	defer c.sweeper.mu.Unlock()
	if !c.closed.Load() {
		c.sweeper.timer.Reset(c.cfg.CleanupInterval, cleanupTag)
	}
}

// removeExpired walks every shard from its last resident to its first, in slices. A removal moves the last resident
// into the hole, so walking down never skips one that was there at the beginning.
func (c *Cache[K, V]) removeExpired() {
	now := c.now()
	var dead []*entry[K, V]
	for i := range c.table.shards {
		s := &c.table.shards[i]
		for next := -1; next != 0; {
			dead, next = c.collect(s, next, now, dead[:0])
			c.removeDead(s, dead, now)
		}
	}
}

// collect gathers the expired among the residents below the slot end (-1: all) and returns where to go on.
func (c *Cache[K, V]) collect(s *shard[K, V], end int, now int64, dead []*entry[K, V]) (_ []*entry[K, V], next int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if end < 0 || end > len(s.residents) {
		end = len(s.residents)
	}
	next = max(0, end-scanSlice)
	for _, e := range s.residents[next:end] {
		if e.expired(now, c.life) {
			dead = append(dead, e)
		}
	}
	return dead, next
}

// removeDead removes what collect found, after another look: a hit may have come in between.
func (c *Cache[K, V]) removeDead(s *shard[K, V], dead []*entry[K, V], now int64) {
	for len(dead) > 0 {
		n := min(deadSlice, len(dead))
		gone := make([]removal[K, V], 0, n)
		s.mu.Lock()
		for _, e := range dead[:n] {
			if s.holds(e) && e.expired(now, c.life) {
				gone = append(gone, c.table.remove(s, e, EvictExpired))
			}
		}
		s.mu.Unlock()
		c.report(gone...)
		dead = dead[n:]
	}
}
