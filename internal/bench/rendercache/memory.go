package rendercache

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/rendercache"
)

func runMemory(_ context.Context, r *figure.Recorder) error {
	const n = 100_000
	keys := keysOf(n)
	value := &result{}
	var err error
	ours := perEntry(n, func() any {
		var c *rendercache.Cache[rendercache.Key, *result]
		if c, err = rendercache.New(rendercache.Config[rendercache.Key, *result]{MaxEntries: 2 * n}); err != nil {
			return nil
		}
		for _, k := range keys {
			c.Put(k, value)
		}
		return c
	})
	if err != nil {
		return err
	}
	peer := perEntry(n, func() any {
		c := otter.Must(&otter.Options[rendercache.Key, *result]{
			MaximumSize: 2 * n, ExpiryCalculator: otter.ExpiryAccessing[rendercache.Key, *result](life),
		})
		for _, k := range keys {
			c.Set(k, value)
		}
		c.CleanUp()
		return c
	})
	runtime.KeepAlive(keys)
	r.AtMost(1, "rendercache/memory/otter", ours/peer, "x",
		fmt.Sprintf("bytes for each of %d entries beyond the value, key of 64 bytes included; ours %.0f, otter %.0f", n, ours, peer))
	return nil
}

// perEntry is what the heap grows by for each of n entries.
func perEntry(n int, fill func() any) float64 {
	before := heap()
	c := fill()
	grown := heap() - before
	if closer, ok := c.(interface{ Close() }); ok {
		closer.Close()
	}
	runtime.KeepAlive(c)
	return float64(grown) / float64(n)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func runGoroutines(ctx context.Context, r *figure.Recorder) error {
	before := runtime.NumGoroutine()
	var caches []*rendercache.Cache[rendercache.Key, *result]
	for range 100 {
		c, err := rendercache.New(rendercache.Config[rendercache.Key, *result]{})
		if err != nil {
			return err
		}
		_, _ = c.Render(ctx, rendercache.Key{}, func(context.Context) (*result, error) { return &result{}, nil })
		caches = append(caches, c)
	}
	r.AtMost(0, "rendercache/goroutines/idle", float64(settled(before)), "", "of 100 caches that are open and have rendered")
	for _, c := range caches {
		c.Close()
	}
	r.AtMost(0, "rendercache/goroutines/closed", float64(settled(before)), "", "of 100 caches that are closed")
	return nil
}

// settled returns how many goroutines there are more than before, once those that are about to end have ended: the idle ones of
// a cache do after a fraction of a second.
func settled(before int) int {
	for begun := time.Now(); runtime.NumGoroutine() > before && time.Since(begun) < time.Second; {
		time.Sleep(10 * time.Millisecond)
	}
	return max(0, runtime.NumGoroutine()-before)
}
