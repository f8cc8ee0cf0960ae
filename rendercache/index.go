package rendercache

import (
	"math/bits"
	"sync/atomic"
)

// index finds the entries of a shard by key. Any number of readers look while one writer, who holds the shard's lock,
// changes it. Its buckets are as large as a cache line, so that most searches touch one. An entry stays where it was put
// until the index grows: a reader may miss an entry that comes or goes meanwhile, but never gets one that is not the key's. Whoever
// finds nothing and has to be sure looks again under the lock.
//
// Two keys with the same 64-bit hash are two entries: the hash spares comparisons of keys, it does not replace them.
type index[K comparable, V any] struct {
	hash    func(K) uint64
	buckets atomic.Pointer[[]bucket[K, V]] // a power of two of them; nil at first
	used    int
}

// bucket has room for seven entries. What finds its bucket full is put into the next one that is not.
type bucket[K comparable, V any] struct {
	// tags are a byte of the hash of each entry, 0 where there is none, and in the highest byte how many entries were put
	// into a bucket behind although their search begins here or before.
	tags    atomic.Uint64
	entries [bucketSize]atomic.Pointer[entry[K, V]]
}

const (
	bucketSize = 7
	// bucketLoad is how many entries the buckets have on average when the index grows. A twentieth of the entries are in another bucket
	// than their own then.
	bucketLoad = 5

	lowBits  = 0x00_01_01_01_01_01_01_01 // of each tag
	highBits = lowBits << 7

	passedOne = 1 << (8 * bucketSize)
	// passedMost is a count that has ended: searches go on behind such a bucket until the index grows.
	passedMost = 1<<8 - 1
)

// tagOf is never 0. It is made of other bits than those that choose the shard and the bucket.
func tagOf(hash uint64) uint64 { return hash>>48&0x7f | 0x80 }

// candidates has the high bit set of each tag that is the same. It may be set of others as well, above one that is.
func candidates(tags, tag uint64) uint64 {
	differ := tags ^ tag*lowBits
	return (differ - lowBits) &^ differ & highBits
}

// first returns the position of the lowest candidate.
func first(candidates uint64) int { return bits.TrailingZeros64(candidates) / 8 }

// find returns the entry of a key, or nil. No lock is needed.
func (x *index[K, V]) find(hash uint64, key K) *entry[K, V] {
	buckets := x.buckets.Load()
	if buckets == nil {
		return nil
	}
	tag, mask := tagOf(hash), uint64(len(*buckets)-1)
	for i := range uint64(len(*buckets)) {
		b := &(*buckets)[(hash+i)&mask]
		tags := b.tags.Load()
		for c := candidates(tags, tag); c != 0; c &= c - 1 {
			if e := b.entries[first(c)].Load(); e != nil && e.key == key {
				return e
			}
		}
		if tags < passedOne {
			return nil
		}
	}
	return nil
}

// add files an entry whose key is not there.
func (x *index[K, V]) add(hash uint64, e *entry[K, V]) {
	buckets := x.buckets.Load()
	if buckets == nil || x.used >= bucketLoad*len(*buckets) {
		buckets = x.grow(buckets)
	}
	place(*buckets, hash, e)
	x.used++
}

// grow publishes twice the buckets. A reader of the old ones sees in the state of an entry whether it has left since.
func (x *index[K, V]) grow(old *[]bucket[K, V]) *[]bucket[K, V] {
	buckets := make([]bucket[K, V], 1)
	if old != nil {
		buckets = make([]bucket[K, V], 2*len(*old))
		for i := range *old {
			for j := range bucketSize {
				if e := (*old)[i].entries[j].Load(); e != nil {
					place(buckets, x.hash(e.key), e)
				}
			}
		}
	}
	x.buckets.Store(&buckets)
	return &buckets
}

// place puts an entry into the first bucket from its own on that has room: one always has.
func place[K comparable, V any](buckets []bucket[K, V], hash uint64, e *entry[K, V]) {
	mask := uint64(len(buckets) - 1)
	for i := hash; ; i++ {
		b := &buckets[i&mask]
		tags := b.tags.Load()
		if free := candidates(tags, 0); free != 0 {
			j := first(free)
			b.entries[j].Store(e)
			b.tags.Store(tags | tagOf(hash)<<(8*j))
			return
		}
		b.pass(1)
	}
}

// pass counts one entry more or less behind the bucket.
func (b *bucket[K, V]) pass(d int) {
	tags := b.tags.Load()
	if tags/passedOne == passedMost {
		return
	}
	b.tags.Store(tags + uint64(d)*passedOne)
}

// exchange puts an entry in the place of another with the same key.
func (x *index[K, V]) exchange(hash uint64, old, e *entry[K, V]) {
	if b, j, _ := x.where(hash, old); b != nil {
		b.entries[j].Store(e)
	}
}

// drop takes an entry out.
func (x *index[K, V]) drop(hash uint64, e *entry[K, V]) {
	b, j, passed := x.where(hash, e)
	if b == nil {
		return
	}
	b.tags.Store(b.tags.Load() &^ (0xff << (8 * j)))
	b.entries[j].Store(nil)
	buckets := *x.buckets.Load()
	for i := range passed {
		buckets[(hash+i)&uint64(len(buckets)-1)].pass(-1)
	}
	x.used--
}

// where returns the bucket of an entry, its position in there, and how many buckets it was put past; a nil bucket if it is not there.
func (x *index[K, V]) where(hash uint64, e *entry[K, V]) (b *bucket[K, V], j int, passed uint64) {
	buckets := x.buckets.Load()
	if buckets == nil {
		return nil, 0, 0
	}
	for passed = range uint64(len(*buckets)) {
		b = &(*buckets)[(hash+passed)&uint64(len(*buckets)-1)]
		for j = range bucketSize {
			if b.entries[j].Load() == e {
				return b, j, passed
			}
		}
		if b.tags.Load() < passedOne {
			break
		}
	}
	return nil, 0, 0
}
