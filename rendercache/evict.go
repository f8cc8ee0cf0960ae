package rendercache

import (
	"math"
	"math/rand/v2"

	"github.com/dormouse-go/dormouse/rendercache/internal/rules"
)

// EvictCause says why a value has left the cache.
type EvictCause uint8

const (
	// EvictSize: it was evicted to make room for another.
	EvictSize EvictCause = iota
	// EvictExpired: it was not used for TTL, reached MaxAge, or was a remembered failure whose time was up.
	EvictExpired
	// EvictVersion: InvalidateVersion.
	EvictVersion
	// EvictOwner: InvalidateOwner.
	EvictOwner
	// EvictKey: Invalidate.
	EvictKey
	// EvictClear: Clear.
	EvictClear
	// EvictReplaced: Put or a refresh stored another value in its place.
	EvictReplaced
	// EvictClosed: Close.
	EvictClosed

	evictCauses = iota

	// evictUnkept is the end of a render that left nothing to keep. No value is reported with it.
	evictUnkept EvictCause = evictCauses
)

// String returns the cause as it stands in metrics.
func (c EvictCause) String() string {
	return name(c, "size", "ttl", "version", "owner", "key", "clear", "replaced", "closed")
}

// miss is the cause that the next request for the key reports.
func (c EvictCause) miss() MissCause {
	switch c {
	case EvictSize:
		return MissEvicted
	case EvictExpired:
		return MissExpired
	case EvictVersion, EvictOwner, EvictKey, EvictClear:
		return MissInvalidated
	case evictUnkept:
		return MissNotKept
	default:
		return MissNone
	}
}

// removal is an entry that has left the table; counted is false for keys that were only being rendered, valued for
// those without a value.
type removal[K comparable, V any] struct {
	key             K
	value           V
	cause           EvictCause
	valued, counted bool
}

// over reports whether a limit is passed.
func (c *Cache[K, V]) over() bool {
	return c.table.entries.Load() > int64(c.cfg.MaxEntries) ||
		c.cfg.MaxWeight > 0 && c.table.weight.Load() > c.cfg.MaxWeight
}

// shrink evicts until the limits hold again. The entry just stored is spared: it is the one thing known to be wanted.
func (c *Cache[K, V]) shrink(now int64, spare *entry[K, V]) (gone []removal[K, V]) {
	if !c.over() {
		return nil
	}
	c.evicting.Lock()
	defer c.evicting.Unlock()
	for c.over() {
		v := c.ownVictim(now, spare)
		if v.entry == nil {
			v = c.victim(now, spare, rules.SampleSize)
		}
		if v.entry == nil { // the sample met only keys being rendered
			v = c.victim(now, spare, math.MaxInt)
		}
		if v.entry == nil {
			break
		}
		v.shard.mu.Lock()
		if v.shard.holds(v.entry) && v.entry.state() != loading {
			gone = append(gone, c.table.remove(v.shard, v.entry, v.cause))
		}
		v.shard.mu.Unlock()
	}
	return gone
}

// candidate is the best victim so far.
type candidate[K comparable, V any] struct {
	shard *shard[K, V]
	entry *entry[K, V]
	rank  float64
	cause EvictCause
	// overShare: its owner holds more than its share.
	overShare bool
}

// ownVictim samples the other entries of the owner for whom room is made, if it holds more than its share, from the shard of the
// new entry on: they are spread evenly.
func (c *Cache[K, V]) ownVictim(now int64, spare *entry[K, V]) (best candidate[K, V]) {
	if spare == nil || !c.table.overShare(spare) {
		return best
	}
	owner := c.table.groupsOf(spare.key)[byOwner]
	first := int(c.table.hash(spare.key) >> (64 - shardBits))
	for i, size := 0, rules.SampleSize; i < shardCount && size > 0; i++ {
		s := &c.table.shards[(first+i)%shardCount]
		s.mu.RLock()
		own := c.table.group(s, byOwner, owner)
		for _, e := range own[:min(len(own), size)] {
			best = c.better(best, s, e, spare, now)
		}
		s.mu.RUnlock()
		size -= len(own)
	}
	return best
}

// victim samples residents from a random shard on, and as many further shards as the sample needs.
func (c *Cache[K, V]) victim(now int64, spare *entry[K, V], size int) (best candidate[K, V]) {
	first := rand.IntN(shardCount)
	for i := 0; i < shardCount && size > 0 && best.cause != EvictExpired; i++ {
		s := &c.table.shards[(first+i)%shardCount]
		s.mu.RLock()
		n := min(len(s.residents), size)
		for j := range n {
			if n < len(s.residents) {
				j = rand.IntN(len(s.residents))
			}
			best = c.better(best, s, s.residents[j], spare, now)
		}
		s.mu.RUnlock()
		size -= n
	}
	return best
}

func (c *Cache[K, V]) better(best candidate[K, V], s *shard[K, V], e, spare *entry[K, V], now int64) candidate[K, V] {
	if e == spare || e.state() == loading {
		return best
	}
	if e.expired(now, c.life) {
		return candidate[K, V]{shard: s, entry: e, cause: EvictExpired, rank: math.Inf(1)}
	}
	at, hits := e.stamp.get()
	next := candidate[K, V]{
		shard: s, entry: e, cause: EvictSize, rank: rules.Rank(max(0, now-at), hits), overShare: c.table.overShare(e),
	}
	if best.entry == nil || next.before(best) {
		return next
	}
	return best
}

// before reports whether a candidate goes before another.
func (v candidate[K, V]) before(other candidate[K, V]) bool {
	switch {
	case v.cause != other.cause || v.overShare == other.overShare:
		return v.rank > other.rank
	}
	return v.overShare
}

// report counts what has left and runs the hook, without locks.
func (c *Cache[K, V]) report(gone ...removal[K, V]) {
	c.count(gone...)
	c.notify(gone...)
}

func (c *Cache[K, V]) count(gone ...removal[K, V]) {
	for i := range gone {
		if gone[i].counted {
			c.counters.evictions[gone[i].cause].Add(1)
		}
	}
}

func (c *Cache[K, V]) notify(gone ...removal[K, V]) {
	if c.cfg.OnEvict == nil {
		return
	}
	for i := range gone {
		if g := &gone[i]; g.valued {
			notify(c.cfg.Logger, func() { c.cfg.OnEvict(g.key, g.value, g.cause) })
		}
	}
}
