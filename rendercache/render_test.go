package rendercache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/rendercache"
)

var errBroken = errors.New("broken template")

// inBubble runs f with a cache on the real clock of a synctest bubble, where a goroutine that is left, or a wait that
// never ends, fails.
func inBubble(t *testing.T, cfg Config, f func(t *testing.T, c *Cache)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, err := rendercache.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f(t, c)
	})
}

func TestThousandCallersOneRender(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, c *Cache) {
		var calls atomic.Int32
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				v, err := c.Render(t.Context(), keyN(1), func(context.Context) (string, error) {
					calls.Add(1)
					time.Sleep(20 * time.Millisecond)
					return "v", nil
				})
				if v != "v" || err != nil {
					t.Errorf("Render = %q, %v", v, err)
				}
			})
		}
		wg.Wait()
		wantEqual(t, "renders", calls.Load(), 1)
		s := c.Stats()
		wantEqual(t, "misses", s.Misses, 1)
		wantEqual(t, "shared", s.Shared, 999)
		wantLen(t, c, 1)
	})
}

// A load kept beside the table renders again when a caller looks between the end of a render and its storing.
func TestStormRendersEachKeyOnce(t *testing.T) {
	c := newCache(t, Config{MaxEntries: 50_000})
	const keys, callers = 5_000, 8
	var calls atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := range keys {
				_, err := c.Render(t.Context(), keyN(i), func(context.Context) (string, error) {
					calls.Add(1)
					return "v", nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	wantEqual(t, "renders", calls.Load(), keys)
}

func TestFirstCallerCanceledDoesNotAffectOthers(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, c *Cache) {
		var calls atomic.Int32
		render := func(ctx context.Context) (string, error) {
			calls.Add(1)
			select {
			case <-time.After(time.Second):
				return "v", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.Render(first, keyN(1), render); !errors.Is(err, context.Canceled) {
				t.Errorf("first caller: %v, want context.Canceled", err)
			}
		})
		synctest.Wait()
		for range 10 {
			wg.Go(func() {
				if v, err := c.Render(t.Context(), keyN(1), render); v != "v" || err != nil {
					t.Errorf("follower: %q, %v", v, err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		wantEqual(t, "renders", calls.Load(), 1)
		wantHit(t, c, keyN(1), "v")
	})
}

func TestWaiterKeepsItsDeadline(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, c *Cache) {
		slow := func(context.Context) (string, error) { time.Sleep(100 * time.Millisecond); return "v", nil }
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = c.Render(t.Context(), keyN(1), slow) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := c.Render(ctx, keyN(1), slow)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 10*time.Millisecond {
			t.Errorf("waiter: %v after %s, want its deadline after 10ms", err, time.Since(began))
		}
		wg.Wait()
	})
}

func TestRenderStopsWhenNobodyWaits(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, c *Cache) {
		var cause error
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := c.Render(ctx, keyN(1), func(ctx context.Context) (string, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return "late", nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Render: %v, want context.Canceled", err)
		}
		synctest.Wait()
		if !errors.Is(cause, rendercache.ErrAbandoned) {
			t.Errorf("the render's cause is %v, want ErrAbandoned", cause)
		}
		wantMiss(t, c, keyN(1)) // what came late is not stored
		wantLen(t, c, 0)
	})
}

func TestNextCallerAfterAbandonedRenderStartsAfresh(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, c *Cache) {
		release := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { synctest.Wait(); cancel() }()
		_, _ = c.Render(ctx, keyN(1), func(context.Context) (string, error) { <-release; return "stubborn", nil })
		calls := 0
		if got := mustRender(t, c, keyN(1), returns("fresh", &calls)); got != "fresh" {
			t.Errorf("Render = %q, want the fresh value", got)
		}
		close(release)
		synctest.Wait()
		wantHit(t, c, keyN(1), "fresh")
	})
}

func TestRenderContext(t *testing.T) {
	type tag struct{}
	inBubble(t, Config{}, func(t *testing.T, c *Cache) {
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), tag{}, "mine"), time.Hour)
		defer cancel()
		_, _ = c.Render(ctx, keyN(1), func(ctx context.Context) (string, error) {
			wantEqual(t, "value", ctx.Value(tag{}), any("mine"))
			if _, ok := ctx.Deadline(); ok {
				t.Error("the render has one caller's deadline")
			}
			return "", nil
		})
	})
}

func TestCanceledCallerStillHits(t *testing.T) {
	c := newCache(t, Config{})
	c.Put(keyN(1), "v")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := 0
	if v, err := c.Render(ctx, keyN(1), returns("", &calls)); v != "v" || err != nil {
		t.Errorf("hit: %q, %v", v, err)
	}
	if _, err := c.Render(ctx, keyN(2), returns("", &calls)); !errors.Is(err, context.Canceled) || calls != 0 {
		t.Errorf("miss: %v after %d renders, want context.Canceled and none", err, calls)
	}
}

func TestPanicReachesEveryWaiter(t *testing.T) {
	var logged bytes.Buffer
	cfg := Config{Logger: slog.New(slog.NewTextHandler(&logged, nil)), ErrorTTL: func(error) time.Duration { return time.Hour }}
	inBubble(t, cfg, func(t *testing.T, c *Cache) {
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				_, err := c.Render(t.Context(), keyN(1), func(context.Context) (string, error) {
					time.Sleep(time.Millisecond)
					panic(fmt.Errorf("while rendering: %w", errBroken))
				})
				var p *rendercache.PanicError
				if !errors.As(err, &p) || !strings.Contains(string(p.Stack), "TestPanicReachesEveryWaiter") {
					t.Errorf("Render: %v, want a *PanicError with the render's stack", err)
				}
				if !errors.Is(err, errBroken) {
					t.Errorf("Render: %v does not unwrap to what was panicked with", err)
				}
			})
		}
		wg.Wait()
		calls := 0
		mustRender(t, c, keyN(1), returns("v", &calls)) // never remembered, whatever ErrorTTL says
	})
	wantEqual(t, "log lines", strings.Count(logged.String(), "render panicked"), 1)
	wantEqual(t, "log records", strings.Count(logged.String(), "level=ERROR"), 1)
}

func TestGoexitReachesEveryWaiter(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, c *Cache) {
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				_, err := c.Render(t.Context(), keyN(1), func(context.Context) (string, error) {
					time.Sleep(time.Millisecond)
					runtime.Goexit()
					return "", nil
				})
				if !errors.Is(err, rendercache.ErrGoexit) {
					t.Errorf("Render: %v, want ErrGoexit", err)
				}
			})
		}
		wg.Wait()
		wantLen(t, c, 0)
	})
}

func TestPanicOfACallbackHangsNoWaiter(t *testing.T) {
	cfg := Config{Weigh: func(Key, string) int64 { panic("no scales") }}
	inBubble(t, cfg, func(t *testing.T, c *Cache) {
		calls := 0
		_, err := c.Render(t.Context(), keyN(1), returns("v", &calls))
		var p *rendercache.PanicError
		if !errors.As(err, &p) {
			t.Errorf("Render: %v, want a *PanicError", err)
		}
	})
}

func TestHitsOfOtherKeysDuringARender(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, c *Cache) {
		for i := range 500 {
			c.Put(keyN(i), "v")
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = c.Render(t.Context(), keyN(-1), func(context.Context) (string, error) { time.Sleep(200 * time.Millisecond); return "v", nil })
		})
		synctest.Wait()
		began := time.Now()
		for i := range 500 {
			wantHit(t, c, keyN(i), "v")
		}
		wantMiss(t, c, keyN(-1)) // a key being rendered is a miss, and does not wait
		wantEqual(t, "time spent", time.Since(began), 0)
		wantLen(t, c, 500) // what is being rendered does not count
		wg.Wait()
	})
}

func TestRenderThatAsksForItself(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, c *Cache) {
		ask := func(key Key, inner func(context.Context) (string, error)) func(context.Context) (string, error) {
			return func(ctx context.Context) (string, error) { return c.Render(ctx, key, inner) }
		}
		// 1 asks for 2, which asks for 1.
		_, err := c.Render(t.Context(), keyN(1), ask(keyN(2), ask(keyN(1), nil)))
		if !errors.Is(err, rendercache.ErrRecursive) {
			t.Errorf("Render: %v, want ErrRecursive", err)
		}
		// 1 asks for 3, which asks for nothing.
		calls := 0
		if got := mustRender(t, c, keyN(1), ask(keyN(3), returns("v", &calls))); got != "v" {
			t.Errorf("nested Render = %q", got)
		}
	})
}

func TestIncompleteResultReachesAllAndIsNotKept(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, c *Cache) {
		var calls atomic.Int32
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				v, err := c.Render(t.Context(), keyN(1), func(context.Context) (string, error) {
					calls.Add(1)
					time.Sleep(time.Millisecond)
					return "half", fmt.Errorf("module archive missing: %w", rendercache.ErrNoStore)
				})
				if v != "half" || err != nil {
					t.Errorf("Render = %q, %v: want the value and no error", v, err)
				}
			})
		}
		wg.Wait()
		wantEqual(t, "renders", calls.Load(), 1)
		wantLen(t, c, 0)
	})
}

func TestErrorsAreNotKept(t *testing.T) {
	c := newCache(t, Config{})
	for range 3 {
		v, err := c.Render(t.Context(), keyN(1), func(context.Context) (string, error) { return "ignored", errBroken })
		if v != "" || !errors.Is(err, errBroken) {
			t.Fatalf("Render = %q, %v", v, err)
		}
	}
	wantEqual(t, "renders", c.Stats().Renders, 3)
	wantLen(t, c, 0)
}

func TestFailureRememberedOnPurpose(t *testing.T) {
	clock := mockClock(t)
	c := newCache(t, Config{Clock: clock, TTL: time.Minute, ErrorTTL: func(err error) time.Duration {
		if errors.Is(err, errBroken) {
			return 10 * time.Minute
		}
		return 0
	}})
	calls := 0
	fails := func(context.Context) (string, error) { calls++; return "", errBroken }
	// One pass a minute for an hour: a render each at 0, 11, 22, 33, 44 and 55 minutes, since at exactly ten minutes it
	// is remembered still, and being asked for does not prolong it.
	for range 60 {
		if _, err := c.Render(t.Context(), keyN(1), fails); !errors.Is(err, errBroken) {
			t.Fatalf("Render: %v", err)
		}
		advance(t, clock, time.Minute)
	}
	wantEqual(t, "renders", calls, 6)
	s := c.Stats()
	wantEqual(t, "remembered failures", s.FailureHits, 54)
	wantEqual(t, "errors", s.Errors, 60)
	wantEqual(t, "entries", s.Entries, 1)
	wantEqual(t, "weight", s.Weight, 1)
	wantMiss(t, c, keyN(1))
	advance(t, clock, 15*time.Minute)
	wantLen(t, c, 0)
}

func TestContextErrorsAreNeverRemembered(t *testing.T) {
	c := newCache(t, Config{ErrorTTL: func(error) time.Duration { return time.Hour }})
	for _, err := range []error{context.Canceled, fmt.Errorf("read rows: %w", context.DeadlineExceeded)} {
		_, got := c.Render(t.Context(), keyN(1), func(context.Context) (string, error) { return "", err })
		if !errors.Is(got, err) {
			t.Errorf("Render: %v, want %v", got, err)
		}
		wantLen(t, c, 0)
	}
}

func TestPutReplacesARememberedFailure(t *testing.T) {
	c := newCache(t, Config{ErrorTTL: func(error) time.Duration { return time.Hour }})
	_, _ = c.Render(t.Context(), keyN(1), func(context.Context) (string, error) { return "", errBroken })
	wantLen(t, c, 1)
	c.Put(keyN(1), "v")
	wantLen(t, c, 1)
	wantHit(t, c, keyN(1), "v")
}

func TestConcurrentRendersAreLimited(t *testing.T) {
	inBubble(t, Config{MaxConcurrentRenders: 3}, func(t *testing.T, c *Cache) {
		var running, most atomic.Int32
		var wg sync.WaitGroup
		began := time.Now()
		for i := range 12 {
			wg.Go(func() {
				_, err := c.Render(t.Context(), keyN(i), func(context.Context) (string, error) {
					now := running.Add(1)
					defer running.Add(-1)
					for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
					}
					time.Sleep(time.Second)
					return "v", nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		wantEqual(t, "most at once", most.Load(), 3)
		wantEqual(t, "time", time.Since(began), 4*time.Second)
	})
}

func TestWaitingForAPlaceEndsWithTheCaller(t *testing.T) {
	inBubble(t, Config{MaxConcurrentRenders: 1}, func(t *testing.T, c *Cache) {
		release := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = c.Render(t.Context(), keyN(1), func(context.Context) (string, error) { <-release; return "v", nil })
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		calls := 0
		if _, err := c.Render(ctx, keyN(2), returns("v", &calls)); !errors.Is(err, context.DeadlineExceeded) || calls != 0 {
			t.Errorf("Render: %v after %d renders", err, calls)
		}
		close(release)
		wg.Wait()
		mustRender(t, c, keyN(2), returns("v", &calls)) // the place was not lost
	})
}

// Prebuilds of one preset: the first pass, around the cache, only looks for ephemeral parameters.
func TestBurstOfIdenticalBuilds(t *testing.T) {
	c := newCache(t, Config{})
	calls, looks := 0, 0
	for range 3 {
		_, _ = returns("", &looks)(t.Context())
		mustRender(t, c, keyN(1), returns("v", &calls))
	}
	s := c.Stats()
	wantEqual(t, "misses", s.Misses, 1)
	wantEqual(t, "hits", s.Hits, 2)
	wantEqual(t, "entries", s.Entries, 1)
	wantEqual(t, "renders", calls, 1)
	wantEqual(t, "looks", looks, 3)
}

// Warnings belong into the value: a hit has what the miss had.
func TestWarningsSurviveAHit(t *testing.T) {
	type result struct{ warnings []string }
	c, err := rendercache.New(rendercache.Config[Key, result]{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		r, err := c.Render(t.Context(), keyN(1), func(context.Context) (result, error) {
			return result{warnings: []string{"deprecated"}}, nil
		})
		if err != nil || len(r.warnings) != 1 {
			t.Fatalf("Render = %v, %v", r, err)
		}
	}
}

// A value that stays is found at every moment in which others come, go and move it about.
func TestNoHitIsLostAmongChanges(t *testing.T) {
	c := newCache(t, Config{MaxEntries: 100_000})
	const kept, moving = 50, 5000
	for i := range kept {
		c.Put(keyN(i), "kept")
	}
	var stop atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for i := 0; !stop.Load(); i = (i + 1) % kept {
				if v, ok := c.Get(keyN(i)); !ok || v != "kept" {
					t.Errorf("Get(%d) = %q, %v", i, v, ok)
					return
				}
			}
		})
	}
	for range 4 {
		for i := range moving {
			c.Put(keyN(kept+i), "v")
		}
		for i := range moving {
			if !c.Invalidate(keyN(kept + i)) {
				t.Fatalf("key %d was not there", kept+i)
			}
		}
	}
	stop.Store(true)
	readers.Wait()
}
