package rendercache

import (
	"math"
	"sync/atomic"
	"time"
)

// state says what an entry of the table stands for.
type state uint8

const (
	loading state = iota // being rendered for the first time; neither in Len nor in the weight
	ready                // holds a value, which a running flight may be refreshing
	failed               // a failure that is remembered: its flight has landed and holds the error
)

// entry is one key in the table. The key never changes, the stamp is atomic, all else is written under the shard's
// write lock. The order of the fields is that of their use on a hit; with Key and a pointer it makes 128 bytes.
type entry[K comparable, V any] struct {
	stamp     stamp
	key       K
	value     V
	born      int64 // nanoseconds since the cache's start
	weight    int64
	flight    *flight[V] // while loading, refreshing, or remembered; also the last failed refresh
	slot      int32      // position in the shard's residents, -1 once removed
	links     [2]link
	state     state
	refreshed bool
}

const (
	hitBits = 3
	maxHits = 1<<hitBits - 1
)

// stamp is the time of the last use, in nanoseconds since the cache's start, above the number of hits, which stops
// counting at maxHits. Packed, one atomic write records a hit, and 61 bits of nanoseconds last 36 years.
type stamp struct{ word atomic.Uint64 }

func (s *stamp) set(at int64, hits uint64) { s.word.Store(uint64(at)<<hitBits | hits) }

func (s *stamp) get() (at int64, hits uint64) { return unpack(s.word.Load()) }

func unpack(word uint64) (at int64, hits uint64) { return int64(word >> hitBits), word & maxHits }

// touch records a hit. A hot entry is not written on every hit: its hits are at their maximum, and the time is moved
// only by more than grain, so that its cache line can stay shared among the cores.
func (s *stamp) touch(now, grain int64) {
	for {
		old := s.word.Load()
		at, hits := unpack(old)
		if hits == maxHits && now-at <= grain {
			return
		}
		next := uint64(max(at, now))<<hitBits | min(hits+1, maxHits)
		if s.word.CompareAndSwap(old, next) {
			return
		}
	}
}

// life is how long entries live, in nanoseconds; maxAge 0 means no end.
type life struct{ ttl, maxAge, grain int64 }

func newLife(ttl, maxAge time.Duration) life {
	grain := min(ttl/4096, 100*time.Millisecond)
	return life{ttl: int64(ttl), maxAge: int64(maxAge), grain: int64(grain)}
}

// after returns the instant that far after another, or the last one there is.
func after(at int64, d time.Duration) int64 {
	if int64(d) > math.MaxInt64-at {
		return math.MaxInt64
	}
	return at + int64(d)
}

// over reports whether something used and born at these times has outlived its life. Age equal to the limit has not.
func (l life) over(used, born, now int64) bool {
	return now-used > l.ttl || l.maxAge > 0 && now-born > l.maxAge
}

// expired is the one comparison used by lookup, eviction and clean-up alike.
func (e *entry[K, V]) expired(now int64, l life) bool {
	switch e.state {
	case ready:
		at, _ := e.stamp.get()
		return l.over(at, e.born, now)
	case failed:
		return now > e.flight.until
	default:
		return false
	}
}

// refreshing reports whether the entry holds a value that is being rendered anew.
func (e *entry[K, V]) refreshing() bool {
	return e.state == ready && e.flight != nil && e.flight.running
}
