package rendercache

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// crowded is a hash with few values, all near the end of the slots, so that entries are searched far from home and around
// the end.
func crowded(key int) uint64 { return ^(uint64(key%7) * 3) }

func TestIndexAgainstAMap(t *testing.T) {
	for name, hash := range map[string]func(int) uint64{
		"spread": func(key int) uint64 { return uint64(key) * 0x9e3779b97f4a7c15 }, "crowded": crowded,
	} {
		t.Run(name, func(t *testing.T) { againstAMap(t, hash) })
	}
}

func againstAMap(t *testing.T, hash func(int) uint64) {
	const keys, steps = 60, 4000
	x := index[int, int]{hash: hash}
	model := make(map[int]*entry[int, int])
	random := rand.New(rand.NewPCG(1, 2))
	for step := range steps {
		key := random.IntN(keys)
		e, known := model[key]
		fresh := &entry[int, int]{key: key}
		switch {
		case !known:
			x.add(hash(key), fresh)
			model[key] = fresh
		case random.IntN(3) == 0:
			x.exchange(hash(key), e, fresh)
			model[key] = fresh
		default:
			x.drop(hash(key), e)
			x.drop(hash(key), e) // what is not there is left alone
			delete(model, key)
		}
		for key := range keys {
			if got := x.find(hash(key), key); got != model[key] {
				t.Fatalf("step %d: find(%d) = %p, want %p", step, key, got, model[key])
			}
		}
		if x.used != len(model) {
			t.Fatalf("step %d: %d used for %d entries", step, x.used, len(model))
		}
	}
	for key, e := range model {
		x.drop(hash(key), e)
	}
	for i := range *x.buckets.Load() {
		if tags := (*x.buckets.Load())[i].tags.Load(); tags != 0 {
			t.Errorf("bucket %d is left with %#x", i, tags)
		}
	}
}

// More entries of one hash than a bucket can count as put past it.
func TestIndexOfOneHash(t *testing.T) {
	same := func(int) uint64 { return 1 }
	x := index[int, int]{hash: same}
	var entries []*entry[int, int]
	for key := range 3 * passedMost {
		entries = append(entries, &entry[int, int]{key: key})
		x.add(same(key), entries[key])
	}
	for key, e := range entries {
		if key%3 > 0 {
			x.drop(same(key), e)
		}
	}
	for key, e := range entries {
		if got := x.find(same(key), key); (got == e) != (key%3 == 0) {
			t.Fatalf("find(%d) = %v", key, got)
		}
	}
}

// While a writer adds and drops, readers get the key's own entry or nothing, and look at slots that all end.
func TestIndexIsReadWhileItIsWritten(t *testing.T) {
	x := index[int, int]{hash: crowded}
	var stop atomic.Bool
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for key := 0; !stop.Load(); key = (key + 1) % 100 {
				if e := x.find(crowded(key), key); e != nil && e.key != key {
					t.Errorf("find(%d) found %d", key, e.key)
					return
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(3, 4))
	model := make(map[int]*entry[int, int])
	for range 50_000 {
		key := random.IntN(100)
		if e, known := model[key]; known {
			x.drop(crowded(key), e)
			delete(model, key)
			continue
		}
		model[key] = &entry[int, int]{key: key}
		x.add(crowded(key), model[key])
	}
	stop.Store(true)
	readers.Wait()
}
