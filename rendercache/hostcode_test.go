package rendercache_test

import (
	"context"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/rendercache"
)

// A panic of the host's Groups reaches the caller, who may recover; the cache goes on as if the call had not been made.
func TestPanicOfGroupsLeavesTheCacheUsable(t *testing.T) {
	t.Parallel()
	c, err := rendercache.New(rendercache.Config[string, string]{
		Groups: func(k string) (version, owner uuid.UUID) {
			if k == "bad" {
				panic("no such group")
			}
			return version, owner
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	render := func(context.Context) (string, error) { return "value", nil }
	for name, call := range map[string]func(){
		"Put":    func() { c.Put("bad", "value") },
		"Render": func() { _, _ = c.Render(t.Context(), "bad", render) },
		"Do": func() {
			_, _ = c.Do(t.Context(), rendercache.Request[string, string]{Key: "bad", Render: render})
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the panic did not reach the caller", name)
				}
			}()
			call()
		}()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 1000 { // every shard
			c.Put(string(rune('a'+i%26))+string(rune(i)), "value")
		}
		if n := c.Len(); n != 1000 {
			t.Errorf("%d entries, want 1000", n)
		}
		c.Close()
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatal("a shard is locked for ever")
	}
}

// Weights near the largest integer do not wrap around: the budget holds, and the sum is never negative.
func TestHeavyWeightsDoNotOverflow(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]rendercache.Config[int, int]{
		"no budget":   {MaxEntries: 4},
		"budget":      {MaxEntries: 4, MaxWeight: math.MaxInt64},
		"low budget":  {MaxEntries: 4, MaxWeight: 1000},
		"most places": {MaxEntries: 1 << 30},
	} {
		cfg.Weigh = func(int, int) int64 { return math.MaxInt64 }
		c, err := rendercache.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 100 {
					c.Put(g*100+i, 0)
					if w := c.Stats().Weight; w < 0 {
						t.Errorf("%s: weight %d", name, w)
						return
					}
				}
			})
		}
		wg.Wait()
		if s := c.Stats(); s.Weight < 0 || cfg.MaxWeight > 0 && s.Weight > cfg.MaxWeight || s.Entries > cfg.MaxEntries {
			t.Errorf("%s: %d entries of weight %d", name, s.Entries, s.Weight)
		}
		c.Close()
	}
}

// The limits are passed by no more than what is being stored at the moment, and hold when the calls have returned.
func TestLimitsArePassedByWhatIsBeingStored(t *testing.T) {
	t.Parallel()
	const limit, writers, weight = 3, 8, 100
	c, err := rendercache.New(rendercache.Config[int, int]{
		MaxEntries: limit, MaxWeight: limit * weight, Weigh: func(int, int) int64 { return weight },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var wg sync.WaitGroup
	for g := range writers {
		wg.Go(func() {
			for i := range 500 {
				c.Put(g*500+i, 0)
				if s := c.Stats(); s.Entries > limit+writers || s.Weight > (limit+writers)*weight {
					t.Errorf("%d entries of weight %d while %d are being stored", s.Entries, s.Weight, writers)
					return
				}
			}
		})
	}
	wg.Wait()
	if s := c.Stats(); s.Entries > limit || s.Weight > limit*weight {
		t.Errorf("%d entries of weight %d when all calls have returned", s.Entries, s.Weight)
	}
}
