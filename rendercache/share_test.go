package rendercache_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/rendercache"
)

// ownedKey is the n-th key of the i-th owner.
func ownedKey(i, n int) Key {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[8:], uint64(i)+1)
	return rendercache.KeyOf(version, id, map[string]string{"n": fmt.Sprint(n)})
}

func (o owned) left(c *Cache) (n int) {
	for i := range o.owners {
		for j := range o.each {
			if _, ok := c.Get(ownedKey(i, j)); ok {
				n++
			}
		}
	}
	return n
}

// owned are entries of many owners.
type owned struct{ owners, each int }

func (o owned) put(c *Cache, value string) {
	for i := range o.owners {
		for j := range o.each {
			c.Put(ownedKey(i, j), value)
		}
	}
}

const flooder = 1_000_000

// An owner who has twice as many keys as fit costs the others nothing, whether they were first or come later.
func TestOwnersKeepTheirShare(t *testing.T) {
	others := owned{owners: 100, each: 10}
	for name, cfg := range map[string]Config{
		"entries": {},
		"weight":  {MaxWeight: 100_000, Weigh: func(_ Key, v string) int64 { return int64(len(v)) }},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCache(t, cfg)
			others.put(c, strings.Repeat("x", 10))
			for n := range 20_000 {
				c.Put(ownedKey(flooder, n), strings.Repeat("x", 10))
			}
			if n := others.left(c); n < 990 {
				t.Errorf("%d of the 1,000 entries of others are left beside 20,000 keys of one owner", n)
			}
		})
	}
	t.Run("later", func(t *testing.T) {
		c := newCache(t, Config{})
		for n := range 20_000 {
			c.Put(ownedKey(flooder, n), "v")
		}
		wantLen(t, c, 10_000) // nobody else needs it
		later := owned{owners: 800, each: 10}
		later.put(c, "v")
		if n := later.left(c); n < 7_900 {
			t.Errorf("%d of 8,000 entries of others found room beside an owner who had it all", n)
		}
	})
	t.Run("none", func(t *testing.T) {
		c := newCache(t, Config{OwnerShare: 1})
		others.put(c, "v")
		for n := range 100_000 {
			c.Put(ownedKey(flooder, n), "v")
		}
		if n := others.left(c); n > 100 {
			t.Errorf("%d of 1,000 entries are left without a share", n)
		}
	})
}

// What leaves is taken out of its owner's count: an owner that was over its share once is like any other later.
func TestShareForgets(t *testing.T) {
	c := newCache(t, Config{MaxEntries: 1000, Groups: func(k Key) (uuid.UUID, uuid.UUID) { return version, k.Owner }})
	for range 20 {
		for n := range 1000 {
			c.Put(ownedKey(flooder, n), "v")
		}
		c.InvalidateOwner(ownedKey(flooder, 0).Owner)
	}
	owned{owners: 1, each: 100}.put(c, "v")
	for n := range 100 {
		c.Put(ownedKey(flooder, n), "v")
	}
	for i := range 800 {
		c.Put(ownedKey(2+i, 0), "v")
	}
	wantLen(t, c, 1000)
	for i := range 50 { // these make room by the age of all
		c.Put(ownedKey(5000+i, 0), "v")
	}
	left := 0
	for n := range 100 {
		if _, ok := c.Get(ownedKey(flooder, n)); ok {
			left++
		}
	}
	if left < 50 {
		t.Errorf("%d of 100 entries are left of an owner that is within its share", left)
	}
}

// Three thousand renders of one owner at once: as many run as may, and one of another owner starts at once.
func TestOwnersTakeTurns(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, c *Cache) {
		var running, most atomic.Int32
		var wg sync.WaitGroup
		for n := range 3000 {
			wg.Go(func() {
				_, _ = c.Render(t.Context(), ownedKey(flooder, n), func(context.Context) (string, error) {
					if now := running.Add(1); now > most.Load() {
						most.Store(now)
					}
					defer running.Add(-1)
					time.Sleep(time.Second)
					return "v", nil
				})
			})
		}
		synctest.Wait()
		begun := time.Now()
		mustRender(t, c, ownedKey(1, 1), func(context.Context) (string, error) { time.Sleep(time.Millisecond); return "v", nil })
		wantEqual(t, "time of another's render", time.Since(begun), time.Millisecond)
		wg.Wait()
		wantEqual(t, "most at once of one owner", most.Load(), 224)
	})
	inBubble(t, Config{MaxConcurrentRenders: 1}, func(t *testing.T, c *Cache) {
		var order []int
		var wg sync.WaitGroup
		for n, owner := range []int{1, 1, 1, 2, 3} {
			wg.Go(func() {
				_, _ = c.Render(t.Context(), ownedKey(owner, n), func(context.Context) (string, error) {
					time.Sleep(time.Second)
					order = append(order, owner)
					return "v", nil
				})
			})
			synctest.Wait()
		}
		wg.Wait()
		wantEqual(t, "whose turn it was", fmt.Sprint(order), "[1 2 3 1 1]")
	})
}

// A render that renders through the same cache does so in its own place, and lets in what it waits for.
func TestNestedRendersNeedNoPlace(t *testing.T) {
	inBubble(t, Config{MaxConcurrentRenders: 1}, func(t *testing.T, c *Cache) {
		var nest func(depth int) func(context.Context) (string, error)
		nest = func(depth int) func(context.Context) (string, error) {
			return func(ctx context.Context) (string, error) {
				if depth == 0 {
					return "v", nil
				}
				return c.Render(ctx, ownedKey(1, depth), nest(depth-1))
			}
		}
		mustRender(t, c, ownedKey(1, 100), nest(5))

		begun := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			mustRender(t, c, ownedKey(2, 1), func(ctx context.Context) (string, error) {
				<-begun
				return c.Render(ctx, ownedKey(2, 2), nest(0)) // which is asked for already, and has no place
			})
		})
		synctest.Wait()
		wg.Go(func() { mustRender(t, c, ownedKey(2, 2), nest(0)) })
		synctest.Wait()
		close(begun)
		wg.Wait()
		mustRender(t, c, ownedKey(3, 1), nest(0)) // no place was lost
	})
}

// Whoever gives up gives its place in line to the next.
func TestAbandonedPlaces(t *testing.T) {
	inBubble(t, Config{MaxConcurrentRenders: 2}, func(t *testing.T, c *Cache) {
		var wg sync.WaitGroup
		for n := range 200 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%7)*100*time.Millisecond)
				defer cancel()
				_, _ = c.Render(ctx, ownedKey(n%5, n), func(ctx context.Context) (string, error) {
					select {
					case <-ctx.Done():
					case <-time.After(250 * time.Millisecond):
					}
					return "v", nil
				})
			})
		}
		wg.Wait()
		time.Sleep(time.Second)
		wantEqual(t, "running", c.Stats().Running, 0)
		begun := time.Now()
		for n := range 2 {
			wg.Go(func() {
				mustRender(t, c, ownedKey(9, n), func(context.Context) (string, error) { time.Sleep(time.Second); return "v", nil })
			})
		}
		wg.Wait()
		wantEqual(t, "time of two renders with two places", time.Since(begun), time.Second)
	})
}
