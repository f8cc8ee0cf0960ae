package rendercache

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
	"github.com/dgraph-io/ristretto/v2"
	hashilru "github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2"
	"github.com/phuslu/lru"

	"github.com/dormouse-go/dormouse/rendercache"
)

// result stands for what a render gives.
type result struct{ text string }

const life = time.Hour

// peer is a cache that holds all of some keys.
type peer struct {
	name  string
	get   func(i uint32) bool
	close func()
}

// makers of the peers, ours first, each with room for twice the keys.
var makers = []struct {
	name string
	make func(keys []rendercache.Key) (peer, error)
}{
	{"ours", makeOurs},
	{"limit", makeLimit},
	{"otter", makeOtter},
	{"golang-lru", makeGolangLRU},
	{"ristretto", makeRistretto},
	{"phuslu", makePhuslu},
}

func makeOurs(keys []rendercache.Key) (peer, error) {
	c, err := rendercache.New(rendercache.Config[rendercache.Key, *result]{TTL: life, MaxEntries: 2 * len(keys)})
	if err != nil {
		return peer{}, err
	}
	for _, k := range keys {
		c.Put(k, &result{})
	}
	return peer{get: func(i uint32) bool { _, ok := c.Get(keys[i]); return ok }, close: c.Close}, nil
}

// makeLimit is the least a hit with an exact sliding life can be: a map under a read lock, an entry, a clock.
func makeLimit(keys []rendercache.Key) (peer, error) {
	type entry struct {
		used  atomic.Int64
		value *result
	}
	clock := quartz.NewReal()
	start := clock.Now()
	var mu sync.RWMutex
	table := make(map[rendercache.Key]*entry, len(keys))
	for _, k := range keys {
		table[k] = &entry{value: &result{}}
	}
	return peer{close: func() {}, get: func(i uint32) bool {
		now := int64(clock.Since(start))
		mu.RLock()
		e := table[keys[i]]
		mu.RUnlock()
		return e != nil && now-e.used.Load() <= int64(life) && e.value != nil
	}}, nil
}

func makeOtter(keys []rendercache.Key) (peer, error) {
	c, err := otter.New(&otter.Options[rendercache.Key, *result]{
		MaximumSize: 2 * len(keys), ExpiryCalculator: otter.ExpiryAccessing[rendercache.Key, *result](life),
	})
	if err != nil {
		return peer{}, err
	}
	for _, k := range keys {
		c.Set(k, &result{})
	}
	return peer{
		get:   func(i uint32) bool { _, ok := c.GetIfPresent(keys[i]); return ok },
		close: func() { c.StopAllGoroutines() },
	}, nil
}

func makeGolangLRU(keys []rendercache.Key) (peer, error) {
	c, err := hashilru.New[rendercache.Key, *result](2 * len(keys))
	if err != nil {
		return peer{}, err
	}
	for _, k := range keys {
		c.Add(k, &result{})
	}
	return peer{get: func(i uint32) bool { _, ok := c.Get(keys[i]); return ok }, close: func() {}}, nil
}

// makeRistretto gives ristretto its keys as ready strings: it takes no structs.
func makeRistretto(keys []rendercache.Key) (peer, error) {
	c, err := ristretto.NewCache(&ristretto.Config[string, *result]{
		NumCounters: 20 * int64(len(keys)), MaxCost: 2 * int64(len(keys)), BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		return peer{}, err
	}
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = string(k.Version[:]) + string(k.Owner[:]) + string(k.Params[:])
		for tries := 0; ; tries++ { // a set may be dropped
			c.SetWithTTL(texts[i], &result{}, 1, life)
			if _, ok := c.Get(texts[i]); ok {
				break
			}
			if c.Wait(); tries > 100 {
				return peer{}, fmt.Errorf("ristretto does not take key %d", i)
			}
		}
	}
	c.Wait()
	return peer{get: func(i uint32) bool { _, ok := c.Get(texts[i]); return ok }, close: c.Close}, nil
}

// makePhuslu is the fastest of them; its clock has a resolution of a second.
func makePhuslu(keys []rendercache.Key) (peer, error) {
	c := lru.NewTTLCache(2*len(keys), lru.WithSliding[rendercache.Key, *result](true))
	for _, k := range keys {
		c.Set(k, &result{}, life)
	}
	return peer{get: func(i uint32) bool { _, ok := c.Get(keys[i]); return ok }, close: func() {}}, nil
}
