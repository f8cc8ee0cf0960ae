package rendercache_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/rendercache"
)

func TestZeroConfigWorks(t *testing.T) {
	c := newCache(t, Config{})
	calls := 0
	for range 3 {
		if got := mustRender(t, c, keyN(1), returns("v", &calls)); got != "v" {
			t.Fatalf("Render = %q", got)
		}
	}
	wantEqual(t, "renders", calls, 1)
	s := c.Stats()
	wantEqual(t, "hits", s.Hits, 2)
	wantEqual(t, "misses", s.Misses, 1)
}

func TestHitReturnsTheStoredObject(t *testing.T) {
	c, err := rendercache.New(rendercache.Config[Key, *int]{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stored := new(int)
	c.Put(keyN(1), stored)
	if got, ok := c.Get(keyN(1)); !ok || got != stored {
		t.Fatalf("Get = %p, %v: want the very pointer %p", got, ok, stored)
	}
}

func TestLifeIsOneHourSinceLastUse(t *testing.T) {
	clock := mockClock(t)
	c := newCache(t, Config{Clock: clock})
	c.Put(keyN(1), "v")
	advance(t, clock, time.Hour)
	wantHit(t, c, keyN(1), "v") // at exactly the TTL it still hits
	advance(t, clock, time.Hour+1)
	wantMiss(t, c, keyN(1))
}

func TestHitProlongsLife(t *testing.T) {
	clock := mockClock(t)
	c := newCache(t, Config{Clock: clock, TTL: time.Second})
	c.Put(keyN(1), "v")
	advance(t, clock, 600*time.Millisecond)
	wantHit(t, c, keyN(1), "v")
	advance(t, clock, 600*time.Millisecond)
	wantHit(t, c, keyN(1), "v")
	advance(t, clock, 1100*time.Millisecond)
	wantMiss(t, c, keyN(1))
}

// A cache that records uses with the precision of a second loses this hit.
func TestEarlyHitOfALongLifeIsRecorded(t *testing.T) {
	clock := mockClock(t)
	c := newCache(t, Config{Clock: clock, TTL: 10 * time.Second})
	c.Put(keyN(1), "v")
	advance(t, clock, 900*time.Millisecond)
	wantHit(t, c, keyN(1), "v")
	advance(t, clock, 9500*time.Millisecond)
	wantHit(t, c, keyN(1), "v")
}

func TestStoringReplacesAndProlongsLife(t *testing.T) {
	clock := mockClock(t)
	c := newCache(t, Config{Clock: clock, TTL: time.Minute})
	c.Put(keyN(1), "old")
	advance(t, clock, 50*time.Second)
	c.Put(keyN(1), "new")
	advance(t, clock, 50*time.Second)
	wantHit(t, c, keyN(1), "new")
	wantLen(t, c, 1)
}

func TestLookupDoesNotRemoveWhatExpired(t *testing.T) {
	clock := mockClock(t)
	c := newCache(t, Config{Clock: clock, TTL: time.Minute})
	c.Put(keyN(1), "v")
	advance(t, clock, 2*time.Minute)
	wantMiss(t, c, keyN(1))
	wantLen(t, c, 1)
	advance(t, clock, 13*time.Minute) // the clean-up
	wantLen(t, c, 0)
}

func TestCleanupEveryQuarterHour(t *testing.T) {
	clock := mockClock(t)
	c := newCache(t, Config{Clock: clock, TTL: 20 * time.Minute})
	for round := range 5 {
		c.Put(keyN(round), "v")
		if next, ok := clock.Peek(); !ok || next != 15*time.Minute {
			t.Fatalf("round %d: next event in %s, %v: want one in 15m", round, next, ok)
		}
		advance(t, clock, 15*time.Minute)
	}
	// Put at 0, 15, 30, 45 and 60 minutes, asked at 75: those of the last 20 minutes live.
	wantLen(t, c, 1)
	wantHit(t, c, keyN(4), "v")
	wantEqual(t, "ttl evictions", c.Stats().Evictions[rendercache.EvictExpired], 4)
}

func TestCleanupOfManyEntriesSkipsNone(t *testing.T) {
	clock := mockClock(t)
	c := newCache(t, Config{Clock: clock, TTL: time.Minute, MaxEntries: 150_000})
	const n = 100_000 // several slices in each shard
	for i := range n {
		k := Key{Version: version, Owner: owner}
		k.Params[0], k.Params[1], k.Params[2] = byte(i), byte(i>>8), byte(i>>16)
		if i%3 == 0 {
			defer wantHit(t, c, k, "late")
			continue
		}
		c.Put(k, "early")
	}
	clock.Advance(14 * time.Minute).MustWait(t.Context())
	for i := 0; i < n; i += 3 {
		k := Key{Version: version, Owner: owner}
		k.Params[0], k.Params[1], k.Params[2] = byte(i), byte(i>>8), byte(i>>16)
		c.Put(k, "late")
	}
	clock.Advance(time.Minute).MustWait(t.Context())
	wantLen(t, c, (n+2)/3)
}

func TestMaxAgeEndsAHotEntry(t *testing.T) {
	clock := mockClock(t)
	c := newCache(t, Config{Clock: clock, TTL: time.Hour, MaxAge: 3 * time.Hour})
	c.Put(keyN(1), "v")
	for range 6 {
		advance(t, clock, 30*time.Minute)
		wantHit(t, c, keyN(1), "v")
	}
	advance(t, clock, 1)
	wantMiss(t, c, keyN(1))
}

func TestNoGoroutineWhileIdle(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 100 {
		newCache(t, Config{Clock: quartz.NewReal()})
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Fatalf("%d goroutines before, %d with 100 caches open", before, after)
	}
}

func TestRealClockInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := rendercache.New(Config{TTL: 20 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		c.Put(keyN(1), "v")
		time.Sleep(20 * time.Minute)
		wantHit(t, c, keyN(1), "v")
		time.Sleep(46 * time.Minute)
		synctest.Wait()
		wantLen(t, c, 0)
		c.Close()
		time.Sleep(time.Hour) // a clean-up left armed would run now
	})
}

func TestCloseLeavesNoTimer(t *testing.T) {
	clock := mockClock(t)
	c := newCache(t, Config{Clock: clock})
	advance(t, clock, 15*time.Minute)
	c.Close()
	if next, ok := clock.Peek(); ok {
		t.Fatalf("an event is left, in %s", next)
	}
}
