package rendercache

import "sync/atomic"

// index finds the entries of a shard by key. Any number of readers look while one writer, who holds the shard's lock,
// changes it. It is an open table with linear probing: the slots are written atomically and one after the other, so a
// reader may pass over an entry that is being moved, but never gets one that is not the key's. Whoever finds nothing
// and has to be sure looks again under the lock.
//
// Two keys with the same 64-bit hash are two entries: the hash spares the comparison of keys, it does not replace it.
type index[K comparable, V any] struct {
	slots atomic.Pointer[[]slot[K, V]] // a power of two of them, some always empty; nil at first
	used  int
}

// slot is empty when it has no entry.
type slot[K comparable, V any] struct {
	hash  atomic.Uint64
	entry atomic.Pointer[entry[K, V]]
}

const firstSlots = 8

// find returns the entry of a key, or nil. No lock is needed.
func (x *index[K, V]) find(hash uint64, key K) *entry[K, V] {
	slots := x.slots.Load()
	if slots == nil {
		return nil
	}
	mask := uint64(len(*slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := &(*slots)[i]
		e := s.entry.Load()
		if e == nil {
			return nil
		}
		if s.hash.Load() == hash && e.key == key {
			return e
		}
	}
}

// add files an entry whose key is not there. At most seven of eight slots are used, as in a map of Go.
func (x *index[K, V]) add(hash uint64, e *entry[K, V]) {
	slots := x.slots.Load()
	if slots == nil || (x.used+1)*8 > len(*slots)*7 {
		slots = x.grow(slots)
	}
	place(*slots, hash, e)
	x.used++
}

// grow publishes twice the slots. A reader of the old ones sees in the state of an entry whether it has left since.
func (x *index[K, V]) grow(old *[]slot[K, V]) *[]slot[K, V] {
	slots := make([]slot[K, V], firstSlots)
	if old != nil {
		slots = make([]slot[K, V], 2*len(*old))
		for i := range *old {
			if e := (*old)[i].entry.Load(); e != nil {
				place(slots, (*old)[i].hash.Load(), e)
			}
		}
	}
	x.slots.Store(&slots)
	return &slots
}

func place[K comparable, V any](slots []slot[K, V], hash uint64, e *entry[K, V]) {
	mask := uint64(len(slots) - 1)
	i := hash & mask
	for slots[i].entry.Load() != nil {
		i = (i + 1) & mask
	}
	slots[i].hash.Store(hash)
	slots[i].entry.Store(e)
}

// exchange puts an entry in the place of another with the same key.
func (x *index[K, V]) exchange(hash uint64, old, e *entry[K, V]) {
	if i, ok := x.slotOf(hash, old); ok {
		(*x.slots.Load())[i].entry.Store(e)
	}
}

// drop takes an entry out and moves those behind it up, so that no search ends at the hole.
func (x *index[K, V]) drop(hash uint64, e *entry[K, V]) {
	hole, ok := x.slotOf(hash, e)
	if !ok {
		return
	}
	slots := *x.slots.Load()
	mask := uint64(len(slots) - 1)
	for i := (hole + 1) & mask; ; i = (i + 1) & mask {
		next := slots[i].entry.Load()
		if next == nil {
			break
		}
		home := slots[i].hash.Load() & mask
		if (i-home)&mask >= (i-hole)&mask { // its search passes the hole
			slots[hole].hash.Store(slots[i].hash.Load())
			slots[hole].entry.Store(next)
			hole = i
		}
	}
	slots[hole].entry.Store(nil)
	x.used--
}

func (x *index[K, V]) slotOf(hash uint64, e *entry[K, V]) (i uint64, ok bool) {
	slots := x.slots.Load()
	if slots == nil {
		return 0, false
	}
	mask := uint64(len(*slots) - 1)
	for i = hash & mask; ; i = (i + 1) & mask {
		switch (*slots)[i].entry.Load() {
		case e:
			return i, true
		case nil:
			return 0, false
		}
	}
}
