package rendercache_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/rendercache"
)

var otherVersion = uuid.MustParse("00000000-0000-0000-0000-0000000000a2")

func TestInvalidationByVersionOwnerAndKey(t *testing.T) {
	for _, test := range []struct {
		what       string
		invalidate func(c *Cache) int
		want       int
		gone       func(v, o uuid.UUID) bool
	}{
		{"version", func(c *Cache) int { return c.InvalidateVersion(version) }, 40, func(v, _ uuid.UUID) bool { return v == version }},
		{"owner", func(c *Cache) int { return c.InvalidateOwner(owner) }, 40, func(_, o uuid.UUID) bool { return o == owner }},
		{"nobody", func(c *Cache) int { return c.InvalidateOwner(version) }, 0, func(_, _ uuid.UUID) bool { return false }},
		{"nil", func(c *Cache) int { return c.InvalidateVersion(uuid.Nil) }, 0, func(_, _ uuid.UUID) bool { return false }},
		{"all", func(c *Cache) int { c.Clear(); return 80 }, 80, func(_, _ uuid.UUID) bool { return true }},
	} {
		t.Run(test.what, func(t *testing.T) {
			c := newCache(t, Config{})
			each := func(f func(key Key)) {
				for _, v := range []uuid.UUID{version, otherVersion} {
					for _, o := range []uuid.UUID{owner, other} {
						for i := range 20 {
							f(rendercache.KeyOf(v, o, map[string]string{"n": fmt.Sprint(i)}))
						}
					}
				}
			}
			each(func(key Key) { c.Put(key, "v") })
			wantEqual(t, "invalidated", test.invalidate(c), test.want)
			wantLen(t, c, 80-test.want)
			each(func(key Key) {
				if _, ok := c.Get(key); ok == test.gone(key.Version, key.Owner) {
					t.Errorf("version %s, owner %s: found %v", key.Version, key.Owner, ok)
				}
			})
		})
	}
}

func TestInvalidateOneKey(t *testing.T) {
	c := newCache(t, Config{})
	c.Put(keyN(1), "v")
	c.Put(keyN(2), "v")
	wantEqual(t, "first time", c.Invalidate(keyN(1)), true)
	wantEqual(t, "second time", c.Invalidate(keyN(1)), false)
	wantMiss(t, c, keyN(1))
	wantHit(t, c, keyN(2), "v")
}

// The links of the index survive any order of removals and insertions.
func TestIndexAfterManyRemovals(t *testing.T) {
	c := newCache(t, Config{MaxEntries: 100})
	for i := range 5_000 { // most are evicted from the middle of their lists
		c.Put(rendercache.KeyOf(uuid.UUID{0: 1, 1: byte(i % 7)}, uuid.UUID{0: 2, 1: byte(i % 5)}, map[string]string{"n": fmt.Sprint(i)}), "v")
		if i%11 == 0 {
			c.InvalidateOwner(uuid.UUID{0: 2, 1: byte(i % 3)})
		}
	}
	held, dropped := c.Len(), 0
	for i := range 7 {
		dropped += c.InvalidateVersion(uuid.UUID{0: 1, 1: byte(i)})
	}
	wantEqual(t, "dropped by version", dropped, held)
	wantLen(t, c, 0)
	wantEqual(t, "weight", c.Stats().Weight, 0)
}

func TestInvalidatedWhileRenderingIsNeverStored(t *testing.T) {
	for what, invalidate := range map[string]func(c *Cache){
		"key":     func(c *Cache) { c.Invalidate(keyN(1)) },
		"version": func(c *Cache) { c.InvalidateVersion(version) },
		"owner":   func(c *Cache) { c.InvalidateOwner(owner) },
		"clear":   (*Cache).Clear,
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, Config{}, func(t *testing.T, c *Cache) {
				finish := make(chan struct{})
				var wg sync.WaitGroup
				for range 3 { // those who asked before get what they asked for
					wg.Go(func() {
						v, err := c.Render(t.Context(), keyN(1), func(context.Context) (string, error) { <-finish; return "old", nil })
						if v != "old" || err != nil {
							t.Errorf("earlier caller: %q, %v", v, err)
						}
					})
				}
				synctest.Wait()
				invalidate(c)
				calls := 0
				if got := mustRender(t, c, keyN(1), returns("new", &calls)); got != "new" {
					t.Errorf("later caller: %q", got)
				}
				close(finish)
				wg.Wait()
				synctest.Wait()
				wantHit(t, c, keyN(1), "new")
				wantLen(t, c, 1)
			})
		})
	}
}

func TestPutDuringARenderWins(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, c *Cache) {
		finish := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = c.Render(t.Context(), keyN(1), func(context.Context) (string, error) { <-finish; return "rendered", nil })
		})
		synctest.Wait()
		c.Put(keyN(1), "put")
		wantHit(t, c, keyN(1), "put")
		close(finish)
		wg.Wait()
		wantHit(t, c, keyN(1), "put")
		wantLen(t, c, 1)
	})
}

// An invalidated render whose callers have all left must be told to stop although it is in no table.
func TestInvalidatedRenderStopsWithoutWaiters(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, c *Cache) {
		stopped := false
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = c.Render(ctx, keyN(1), func(ctx context.Context) (string, error) { <-ctx.Done(); stopped = true; return "", ctx.Err() })
		})
		synctest.Wait()
		c.Invalidate(keyN(1))
		cancel()
		wg.Wait()
		synctest.Wait()
		wantEqual(t, "stopped", stopped, true)
	})
}

// What a caller gets was rendered after the last invalidation that returned before it asked, and for its own owner.
func TestInvalidationUnderLoad(t *testing.T) {
	type result struct {
		owner uuid.UUID
		epoch int64
	}
	c, err := rendercache.New(rendercache.Config[Key, result]{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	owners := [2]uuid.UUID{owner, other}
	var epochs [2]atomic.Int64 // of the owners' data
	var readers, writers sync.WaitGroup
	stop := make(chan struct{})
	for i := range owners {
		writers.Go(func() {
			for range 300 {
				epochs[i].Add(1)
				c.InvalidateOwner(owners[i])
			}
		})
		for range 2 {
			readers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					before := epochs[i].Load() - 1 // the last one's invalidation may be on its way
					r, err := c.Render(t.Context(), rendercache.KeyOf(version, owners[i], nil), func(context.Context) (result, error) {
						return result{owners[i], epochs[i].Load()}, nil
					})
					if err != nil || r.owner != owners[i] || r.epoch < before {
						t.Errorf("Render = %+v, %v: want owner %s and epoch %d or later", r, err, owners[i], before)
						return
					}
				}
			})
		}
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

func TestGroupsOfOwnKeys(t *testing.T) {
	c, err := rendercache.New(rendercache.Config[string, int]{
		Groups: func(k string) (version, owner uuid.UUID) { return uuid.UUID{k[0]}, uuid.UUID{k[1]} },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, key := range []string{"ax", "ay", "bx", "by"} {
		c.Put(key, 1)
	}
	wantEqual(t, "version a", c.InvalidateVersion(uuid.UUID{'a'}), 2)
	wantEqual(t, "owner x", c.InvalidateOwner(uuid.UUID{'x'}), 1)
	wantEqual(t, "left", c.Len(), 1)
}

func TestRememberedFailureIsInvalidatedToo(t *testing.T) {
	c := newCache(t, Config{ErrorTTL: func(error) time.Duration { return 1<<63 - 1 }}) // as good as for ever
	fails := func(context.Context) (string, error) { return "", errBroken }
	for range 2 {
		_, _ = c.Render(t.Context(), keyN(1), fails)
	}
	wantEqual(t, "renders", c.Stats().Renders, 1)
	wantEqual(t, "invalidated", c.InvalidateVersion(version), 1)
	calls := 0
	mustRender(t, c, keyN(1), returns("repaired", &calls))
}

// Many groups share the lists of the index, which grow, and lose and gain members all the time.
func TestInvalidationOfManyGroupsTakesNoOthers(t *testing.T) {
	const versions, owners = 40, 900
	c := newCache(t, Config{MaxEntries: 20_000})
	v := func(i int) uuid.UUID { return uuid.UUID{0: 1, 15: byte(i % versions)} }
	o := func(i int) uuid.UUID { i %= owners; return uuid.UUID{0: 2, 14: byte(i >> 8), 15: byte(i)} }
	live := make(map[Key]bool)
	drop := func(what string, got int, concerned func(Key) bool) {
		before := len(live)
		maps.DeleteFunc(live, func(k Key, _ bool) bool { return concerned(k) })
		wantEqual(t, what, got, before-len(live))
	}
	for i := range 6_000 {
		key := rendercache.KeyOf(v(i*7), o(i*13), map[string]string{"n": fmt.Sprint(i)})
		c.Put(key, "v")
		live[key] = true
		if i%50 == 49 {
			drop("owner's keys", c.InvalidateOwner(o(i)), func(k Key) bool { return k.Owner == o(i) })
		}
		if i%1500 == 1499 {
			drop("version's keys", c.InvalidateVersion(v(i)), func(k Key) bool { return k.Version == v(i) })
		}
	}
	for key := range live {
		wantHit(t, c, key, "v")
	}
	for i := range owners {
		drop("owner's keys", c.InvalidateOwner(o(i)), func(k Key) bool { return k.Owner == o(i) })
	}
	wantLen(t, c, 0)
}
