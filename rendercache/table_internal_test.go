package rendercache

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/rendercache/internal/rules"
)

// Two keys with one 64-bit hash cannot be had from outside, so an entry is filed under the hash of another key.
func TestKeysOfOneHashNeverShareAValue(t *testing.T) {
	c, err := New(Config[string, string]{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	hash := c.table.hash("mine")
	s := c.table.shard(hash)
	stranger := &entry[string, string]{key: "yours", value: "secret", weight: 1}
	stranger.stamp.set(c.now(), 0)
	stranger.turn(ready)
	s.mu.Lock()
	c.table.insert(s, hash, stranger)
	s.mu.Unlock()

	if v, ok := c.Get("mine"); ok {
		t.Fatalf("Get(mine) = %q: the value of another key", v)
	}
	if c.Invalidate("mine") {
		t.Error("Invalidate(mine) hit another key")
	}
	v, err := c.Render(t.Context(), "mine", func(context.Context) (string, error) { return "own", nil })
	if v != "own" || err != nil {
		t.Fatalf("Render(mine) = %q, %v", v, err)
	}
}

func TestStampHoldsTimeAndHits(t *testing.T) {
	var s stamp
	s.set(1000, 0)
	for range 10 {
		s.touch(2000, 500)
	}
	if at, hits := s.get(); at != 2000 || hits != rules.MaxHits {
		t.Errorf("after ten hits: used at %d with %d hits, want 2000 and %d", at, hits, rules.MaxHits)
	}
	s.touch(2500, 500) // within the grain
	s.touch(1500, 500) // a clock read before another's
	if at, _ := s.get(); at != 2000 {
		t.Errorf("used at %d, want 2000: a hot entry is not written within the grain, and never moved back", at)
	}
	s.touch(2501, 500)
	if at, _ := s.get(); at != 2501 {
		t.Errorf("used at %d, want 2501", at)
	}
}

// Between the two phases of the clean-up an entry may be used, by a caller who read the time before it expired.
func TestCleanupLooksAgainBeforeItRemoves(t *testing.T) {
	c, err := New(Config[string, string]{TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Put("used", "v")
	c.Put("idle", "v")
	late := c.now() + int64(2*time.Minute)
	for i := range c.table.shards {
		s := &c.table.shards[i]
		dead, _ := c.collect(s, -1, late, nil)
		if e := s.index.find(c.table.hash("used"), "used"); e != nil {
			e.stamp.touch(late, c.life.Grain)
		}
		c.removeDead(s, dead, late)
	}
	if c.Len() != 1 || !c.Invalidate("used") {
		t.Errorf("%d entries are left, want the one that was used", c.Len())
	}
}

// A writer that replaces an entry hides the key from readers for a moment. They have to wait for the lock, not to miss.
func TestHiddenEntryIsNotMissed(t *testing.T) {
	c, err := New(Config[string, string]{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Put("k", "v")
	hash := c.table.hash("k")
	s := c.table.shard(hash)
	found := make(chan bool, 1)

	s.mu.Lock()
	e := s.index.find(hash, "k")
	s.index.drop(hash, e)
	go func() {
		_, ok := c.Get("k")
		found <- ok
	}()
	for range 1000 { // enough for a reader that does not wait
		runtime.Gosched()
	}
	s.index.add(hash, e)
	s.mu.Unlock()
	if !<-found {
		t.Error("Get missed a key whose entry was being replaced")
	}
}

func TestTallyIsExact(t *testing.T) {
	var x tally
	var all sync.WaitGroup
	for range 3 * tallyCells {
		all.Go(func() {
			for range 1000 {
				x.add()
			}
		})
	}
	all.Wait()
	if got := x.sum(); got != 3*tallyCells*1000 {
		t.Errorf("sum %d, want %d", got, 3*tallyCells*1000)
	}
}
