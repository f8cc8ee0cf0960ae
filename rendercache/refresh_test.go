package rendercache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/rendercache"
)

// numbered renders "v1", "v2" and so on, a second each.
func numbered(calls *atomic.Int32) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		n := calls.Add(1)
		select {
		case <-time.After(time.Second):
			return fmt.Sprintf("v%d", n), nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

func TestRefreshBehindAHit(t *testing.T) {
	inBubble(t, Config{RefreshAfter: 10 * time.Minute}, func(t *testing.T, c *Cache) {
		var calls atomic.Int32
		render := numbered(&calls)
		wantEqual(t, "first", mustRender(t, c, keyN(1), render), "v1")
		time.Sleep(10 * time.Minute)
		wantEqual(t, "at exactly that age", mustRender(t, c, keyN(1), render), "v1")
		synctest.Wait()
		wantEqual(t, "renders", calls.Load(), 1)
		time.Sleep(time.Nanosecond)
		began := time.Now()
		for range 5 { // one refresh, and nobody waits for it
			wantEqual(t, "above", mustRender(t, c, keyN(1), render), "v1")
		}
		wantEqual(t, "waited", time.Since(began), 0)
		time.Sleep(time.Second)
		synctest.Wait()
		r, err := c.Do(t.Context(), Request{Key: keyN(1), Render: render})
		if err != nil || r.Value != "v2" || r.Origin != rendercache.Refreshed || r.Age != 0 {
			t.Errorf("after: %+v, %v", r, err)
		}
		s := c.Stats()
		wantEqual(t, "renders", s.Renders, 2)
		wantEqual(t, "refreshes", s.Refreshes, 1)
		wantEqual(t, "misses", s.Misses, 1)
		wantEqual(t, "replaced", s.Evictions[rendercache.EvictReplaced], 1)
		wantLen(t, c, 1)
	})
}

func TestRefreshThatBringsNothingKeepsTheOldValue(t *testing.T) {
	for what, err := range map[string]error{"fails": errBroken, "incomplete": rendercache.ErrNoStore} {
		t.Run(what, func(t *testing.T) {
			cfg := Config{RefreshAfter: time.Minute, ErrorTTL: func(error) time.Duration { return time.Hour }}
			inBubble(t, cfg, func(t *testing.T, c *Cache) {
				c.Put(keyN(1), "old")
				calls := 0
				bad := func(context.Context) (string, error) { calls++; return "bad", err }
				for range 6 { // at 40 s, 80 s, ...: due at 80 s, then no sooner than a minute after that try
					time.Sleep(40 * time.Second)
					wantEqual(t, "value", mustRender(t, c, keyN(1), bad), "old")
					synctest.Wait()
				}
				wantEqual(t, "tries", calls, 3) // at 80, 160 and 240 s
				time.Sleep(2 * time.Minute)
				good := 0
				wantEqual(t, "value", mustRender(t, c, keyN(1), returns("new", &good)), "old")
				synctest.Wait()
				wantHit(t, c, keyN(1), "new")
			})
		})
	}
}

// The caller behind whose hit the refresh runs may go away; only the end of the entry or of the cache stops it.
func TestRefreshOutlivesItsCaller(t *testing.T) {
	inBubble(t, Config{RefreshAfter: time.Minute}, func(t *testing.T, c *Cache) {
		var calls atomic.Int32
		c.Put(keyN(1), "old")
		time.Sleep(2 * time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		_, _ = c.Render(ctx, keyN(1), numbered(&calls))
		cancel()
		time.Sleep(time.Second)
		synctest.Wait()
		wantHit(t, c, keyN(1), "v1")
	})
}

func TestRefreshEndsWithItsEntry(t *testing.T) {
	for what, end := range map[string]func(c *Cache){
		"invalidated": func(c *Cache) { c.InvalidateOwner(owner) },
		"replaced":    func(c *Cache) { c.Put(keyN(1), "newer") },
		"closed":      (*Cache).Close,
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, Config{RefreshAfter: time.Minute}, func(t *testing.T, c *Cache) {
				c.Put(keyN(1), "old")
				time.Sleep(2 * time.Minute)
				var cause error
				_, _ = c.Render(t.Context(), keyN(1), func(ctx context.Context) (string, error) {
					<-ctx.Done()
					cause = context.Cause(ctx)
					return "late", nil
				})
				synctest.Wait()
				end(c)
				synctest.Wait()
				if !errors.Is(cause, rendercache.ErrAbandoned) && !errors.Is(cause, rendercache.ErrClosed) {
					t.Errorf("the refresh's cause is %v", cause)
				}
				if v, _ := c.Get(keyN(1)); v == "late" || v == "old" {
					t.Errorf("Get = %q", v)
				}
			})
		})
	}
}

// A value that expires while it is being rendered anew is not served; whoever asks waits for the render under way.
func TestValueExpiresUnderItsRefresh(t *testing.T) {
	evicted := 0
	cfg := Config{
		TTL: time.Minute, MaxAge: 2 * time.Minute, RefreshAfter: 100 * time.Second,
		OnEvict: func(_ Key, value string, cause rendercache.EvictCause) {
			if value == "old" && cause == rendercache.EvictExpired {
				evicted++
			}
		},
	}
	inBubble(t, cfg, func(t *testing.T, c *Cache) {
		c.Put(keyN(1), "old")
		for range 2 {
			time.Sleep(55 * time.Second)
			wantHit(t, c, keyN(1), "old")
		}
		finish := make(chan struct{})
		slow := func(context.Context) (string, error) { <-finish; return "new", nil }
		wantEqual(t, "hit", mustRender(t, c, keyN(1), slow), "old")
		time.Sleep(11 * time.Second) // past MaxAge
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				r, err := c.Do(t.Context(), Request{Key: keyN(1), Render: func(context.Context) (string, error) {
					t.Error("rendered twice at once")
					return "", nil
				}})
				if err != nil || r.Value != "new" || r.Origin != rendercache.Shared {
					t.Errorf("Do = %+v, %v", r, err)
				}
			})
		}
		synctest.Wait()
		wantMiss(t, c, keyN(1))
		wantLen(t, c, 0)
		close(finish)
		wg.Wait()
		wantHit(t, c, keyN(1), "new")
		wantLen(t, c, 1)
		wantEqual(t, "told of the old value", evicted, 1)
	})
}

// A refresh that asks for its own key gets the old value while that lives, and an error after: waiting would never end.
func TestRefreshThatAsksForItself(t *testing.T) {
	inBubble(t, Config{RefreshAfter: time.Minute, MaxAge: 10 * time.Minute}, func(t *testing.T, c *Cache) {
		c.Put(keyN(1), "old")
		time.Sleep(2 * time.Minute)
		var alive, dead error
		inner := func(context.Context) (string, error) { return "inner", nil }
		wantEqual(t, "hit", mustRender(t, c, keyN(1), func(ctx context.Context) (string, error) {
			_, alive = c.Render(ctx, keyN(1), inner)
			time.Sleep(9 * time.Minute)
			_, dead = c.Render(ctx, keyN(1), inner)
			return "new", nil
		}), "old")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if alive != nil || !errors.Is(dead, rendercache.ErrRecursive) {
			t.Errorf("inner renders: %v and %v, want none and ErrRecursive", alive, dead)
		}
		wantHit(t, c, keyN(1), "new")
	})
}

// Those who joined the render of an expired value are all that wants it: when they leave, it stops.
func TestRefreshOfAnExpiredValueStopsWithItsLastCaller(t *testing.T) {
	inBubble(t, Config{RefreshAfter: time.Minute, MaxAge: 10 * time.Minute}, func(t *testing.T, c *Cache) {
		c.Put(keyN(1), "old")
		time.Sleep(2 * time.Minute)
		var cause error
		render := func(ctx context.Context) (string, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return "late", nil
		}
		wantEqual(t, "hit", mustRender(t, c, keyN(1), render), "old")
		time.Sleep(9 * time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Render(ctx, keyN(1), render); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Render: %v", err)
		}
		synctest.Wait()
		if !errors.Is(cause, rendercache.ErrAbandoned) {
			t.Errorf("the render's cause is %v, want ErrAbandoned", cause)
		}
		wantMiss(t, c, keyN(1))
	})
}
