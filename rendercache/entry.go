package rendercache

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/dormouse-go/dormouse/rendercache/internal/rules"
)

// state says what an entry of the table stands for.
type state uint32

const (
	loading   state = iota // being rendered for the first time; neither in Len nor in the weight
	ready                  // holds a value, which a running flight may be refreshing
	refreshed              // as ready, rendered behind a hit
	failed                 // a failure that is remembered: its flight has landed and holds the error
	removed                // has left the table
)

// valued reports whether an entry in this state has a value to give.
func (s state) valued() bool { return s == ready || s == refreshed }

// entry is one key in the table. Hits read it without a lock: the key never changes, value and birth do not once the
// state has said that they are there, and the rest of what a hit needs is atomic. A refresh therefore puts a new entry in
// its place. All else is guarded by the shard's lock, and so is whatever changes the state. The order of the fields is
// that of their use on a hit; with Key and a pointer it makes 128 bytes.
type entry[K comparable, V any] struct {
	stamp  stamp
	key    K
	value  V
	born   int64 // nanoseconds since the cache's start
	phase  atomic.Uint32
	slot   int32 // position in the shard's residents, -1 once removed
	weight int64
	flight atomic.Pointer[flight[V]] // while loading, refreshing, or remembered; also the last failed refresh
	links  [2]link
}

func (e *entry[K, V]) state() state { return state(e.phase.Load()) }

// turn changes the state. What hits read of the new state is written before.
func (e *entry[K, V]) turn(s state) { e.phase.Store(uint32(s)) }

// stamp is the time of the last use, in nanoseconds since the cache's start, above the number of hits, which stops
// counting at rules.MaxHits. Packed, one atomic write records a hit, and 61 bits of nanoseconds last 36 years.
type stamp struct{ word atomic.Uint64 }

func (s *stamp) set(at int64, hits uint64) { s.word.Store(uint64(at)<<rules.HitBits | hits) }

func (s *stamp) get() (at int64, hits uint64) { return unpack(s.word.Load()) }

func unpack(word uint64) (at int64, hits uint64) {
	return int64(word >> rules.HitBits), word & rules.MaxHits
}

// touch records a hit. A hot entry is not written on every hit: its hits are at their maximum, and the time is moved
// only by more than grain, so that its cache line can stay shared among the cores.
func (s *stamp) touch(now, grain int64) {
	for {
		old := s.word.Load()
		at, hits := unpack(old)
		if hits == rules.MaxHits && now-at <= grain {
			return
		}
		next := uint64(max(at, now))<<rules.HitBits | min(hits+1, rules.MaxHits)
		if s.word.CompareAndSwap(old, next) {
			return
		}
	}
}

// after returns the instant that far after another, or the last one there is.
func after(at int64, d time.Duration) int64 {
	if int64(d) > math.MaxInt64-at {
		return math.MaxInt64
	}
	return at + int64(d)
}

// expired is the one comparison used by lookup, eviction and clean-up alike. The shard's lock is held; any will do.
func (e *entry[K, V]) expired(now int64, l rules.Life) bool {
	switch s := e.state(); {
	case s.valued():
		return e.outlived(now, l)
	case s == failed:
		return now > e.flight.Load().until
	default:
		return false
	}
}

// outlived is expired for an entry that had a value when its state was read: it may have left the table since.
func (e *entry[K, V]) outlived(now int64, l rules.Life) bool {
	at, _ := e.stamp.get()
	return l.Over(at, e.born, now)
}

// refreshing reports whether the entry holds a value that is being rendered anew. The shard's lock is held.
func (e *entry[K, V]) refreshing() bool {
	f := e.flight.Load()
	return e.state().valued() && f != nil && f.running
}
