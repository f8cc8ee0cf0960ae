package rendercache_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/rendercache"
)

func TestEntriesStayWithinTheLimit(t *testing.T) {
	c := newCache(t, Config{MaxEntries: 10})
	for i := range 1_000 {
		calls := 0
		mustRender(t, c, keyN(i), returns("v", &calls))
		if n := c.Len(); n > 10 {
			t.Fatalf("%d entries after render %d", n, i)
		}
		wantHit(t, c, keyN(i), "v") // what was just stored is spared
	}
	wantLen(t, c, 10)
	wantEqual(t, "size evictions", c.Stats().Evictions[rendercache.EvictSize], 990)
}

func TestWeightStaysWithinTheBudget(t *testing.T) {
	c := newCache(t, Config{MaxWeight: 1000, Weigh: func(_ Key, v string) int64 { return int64(len(v)) }})
	for i := range 1_000 {
		c.Put(keyN(i), strings.Repeat("x", rand.IntN(300)))
		if w := c.Stats().Weight; w > 1000 {
			t.Fatalf("weight %d after put %d", w, i)
		}
	}
	c.Put(keyN(-1), strings.Repeat("x", 1000))
	wantLen(t, c, 1) // all others had to go for it
	wantEqual(t, "weight", c.Stats().Weight, 1000)
	c.Put(keyN(-1), "") // a weight is at least 1
	wantEqual(t, "weight", c.Stats().Weight, 1)
}

func TestLimitHoldsForConcurrentRenders(t *testing.T) {
	c := newCache(t, Config{MaxEntries: 16})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				_, _ = c.Render(t.Context(), keyN(g*1000+i), func(context.Context) (string, error) { return "v", nil })
			}
		})
	}
	wg.Wait()
	wantLen(t, c, 16)
}

func TestTooHeavyIsReturnedNotKept(t *testing.T) {
	c := newCache(t, Config{MaxWeight: 10, Weigh: func(_ Key, v string) int64 { return int64(len(v)) }})
	c.Put(keyN(1), "small")
	calls := 0
	for range 2 {
		if got := mustRender(t, c, keyN(2), returns("much too heavy", &calls)); got != "much too heavy" {
			t.Errorf("Render = %q", got)
		}
	}
	c.Put(keyN(3), "much too heavy")
	wantEqual(t, "renders", calls, 2)
	wantEqual(t, "rejected", c.Stats().Rejected, 3)
	wantMiss(t, c, keyN(3))
	wantHit(t, c, keyN(1), "small") // nothing had to go for what was not kept
	c.Put(keyN(1), "much too heavy")
	wantMiss(t, c, keyN(1)) // what it was to replace is out of date
	wantLen(t, c, 0)
}

func TestExpiredGoFirst(t *testing.T) {
	clock := mockClock(t)
	c := newCache(t, Config{Clock: clock, MaxEntries: 8, TTL: time.Minute})
	for i := range 8 {
		c.Put(keyN(i), "old")
		if i < 7 {
			advance(t, clock, time.Second)
		}
	}
	advance(t, clock, 55*time.Second) // the first two have expired
	c.Put(keyN(8), "new")
	c.Put(keyN(9), "new")
	s := c.Stats()
	wantEqual(t, "expired", s.Evictions[rendercache.EvictExpired], 2)
	wantEqual(t, "evicted", s.Evictions[rendercache.EvictSize], 0)
	for i := 2; i < 8; i++ {
		wantHit(t, c, keyN(i), "old")
	}
}

// With no more entries than a sample the rule is exact: the largest idle time divided by 1 + hits goes.
func TestEvictionRule(t *testing.T) {
	clock := mockClock(t)
	c := newCache(t, Config{Clock: clock, MaxEntries: 3, TTL: time.Hour})
	c.Put(keyN(1), "often")
	for range 20 {
		wantHit(t, c, keyN(1), "often") // hits count up to 7
	}
	advance(t, clock, 10*time.Second)
	c.Put(keyN(2), "once")
	advance(t, clock, 2*time.Second)
	c.Put(keyN(3), "late")
	// 12 s / 8, 2 s / 1, 0 s / 1: the second has the largest.
	c.Put(keyN(4), "v")
	wantMiss(t, c, keyN(2))
	wantLen(t, c, 3)
	advance(t, clock, 10*time.Minute)
	wantHit(t, c, keyN(3), "late")
	wantHit(t, c, keyN(4), "v")
	c.Put(keyN(5), "v") // 612 s / 8 against 0 s / 2: hits do not protect for ever
	wantMiss(t, c, keyN(1))
}

// A failure that is asked for again and again is in use, though that does not prolong its life.
func TestRememberedFailureInUseIsNotEvicted(t *testing.T) {
	clock := mockClock(t)
	c := newCache(t, Config{Clock: clock, MaxEntries: 3, ErrorTTL: func(error) time.Duration { return time.Hour }})
	fails := func(context.Context) (string, error) { return "", errBroken }
	_, _ = c.Render(t.Context(), keyN(0), fails)
	for i := range 20 {
		advance(t, clock, time.Minute)
		c.Put(keyN(1+i), "v")
		advance(t, clock, time.Minute)
		_, _ = c.Render(t.Context(), keyN(0), fails)
	}
	wantEqual(t, "renders", c.Stats().Renders, 1)
}

func TestRendersUnderWayAreNotEvicted(t *testing.T) {
	inBubble(t, Config{MaxEntries: 1}, func(t *testing.T, c *Cache) {
		finish := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				_, _ = c.Render(t.Context(), keyN(i), func(context.Context) (string, error) { <-finish; return "v", nil })
			})
		}
		synctest.Wait()
		for i := 100; i < 110; i++ {
			c.Put(keyN(i), "v")
			wantLen(t, c, 1)
		}
		calls := 0
		wg.Go(func() { _, _ = c.Render(t.Context(), keyN(50), returns("again", &calls)) })
		synctest.Wait()
		close(finish)
		wg.Wait()
		wantEqual(t, "renders of one key again", calls, 0)
		wantLen(t, c, 1)
	})
}

func TestOnEvictGetsEveryValue(t *testing.T) {
	clock := mockClock(t)
	told := map[rendercache.EvictCause]int{}
	var c *Cache
	c = newCache(t, Config{Clock: clock, MaxEntries: 4, OnEvict: func(key Key, value string, cause rendercache.EvictCause) {
		if value != "v" {
			t.Errorf("value %q", value)
		}
		told[cause]++
		c.Get(key) // the hook may use the cache
	}})
	for i := range 5 {
		c.Put(keyN(i), "v") // the fifth evicts
	}
	c.Put(keyN(4), "v") // replaces
	c.Invalidate(keyN(4))
	c.InvalidateVersion(version)
	c.Put(keyN(1), "v")
	c.InvalidateOwner(owner)
	c.Put(keyN(1), "v")
	c.Clear()
	c.Put(keyN(1), "v")
	advance(t, clock, 2*time.Hour)
	c.Put(keyN(1), "v")
	c.Close()
	for cause, want := range map[rendercache.EvictCause]int{
		rendercache.EvictSize: 1, rendercache.EvictReplaced: 1, rendercache.EvictKey: 1, rendercache.EvictVersion: 3,
		rendercache.EvictOwner: 1, rendercache.EvictClear: 1, rendercache.EvictExpired: 1, rendercache.EvictClosed: 1,
	} {
		wantEqual(t, cause.String(), told[cause], want)
		wantEqual(t, cause.String()+" in Stats", c.Stats().Evictions[cause], uint64(want))
	}
}

func TestPanicOfOnEvictGoesNoFurther(t *testing.T) {
	var logged bytes.Buffer
	c := newCache(t, Config{
		Logger:  slog.New(slog.NewTextHandler(&logged, nil)),
		OnEvict: func(Key, string, rendercache.EvictCause) { panic("hook") },
	})
	c.Put(keyN(1), "v")
	c.Invalidate(keyN(1))
	wantEqual(t, "log records", strings.Count(logged.String(), "level=ERROR"), 1)
}

// A loop over more keys than fit starves plain LRU of every hit; a mix with a hot part must keep the hot part.
func TestHotKeysSurviveAScan(t *testing.T) {
	clock := mockClock(t)
	c := newCache(t, Config{Clock: clock, MaxEntries: 200, TTL: time.Hour})
	hits, asked := 0, 0
	for i := range 20_000 {
		clock.Advance(time.Millisecond)
		if i%2 == 0 {
			c.Put(keyN(1_000+i), "once") // a form being typed into: never asked for again
			continue
		}
		key := keyN(i / 2 % 100)
		asked++
		if _, ok := c.Get(key); ok {
			hits++
		} else {
			c.Put(key, fmt.Sprint(i))
		}
	}
	// Exact LRU holds the last 200 distinct keys: the 100 hot ones just so. The hits' weight makes it safe.
	if ratio := float64(hits) / float64(asked); ratio < 0.9 {
		t.Errorf("hot keys hit in %.2f of the cases, want 0.9", ratio)
	}
}
