package rendercache_test

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/rendercache"
)

// goroutine is the name of the one that calls it.
func goroutine() string {
	stack := make([]byte, 64)
	stack = stack[:runtime.Stack(stack, false)]
	return string(bytes.Fields(stack)[1])
}

// atOnce renders keys at the same time and returns the goroutines on which it did.
func atOnce(t *testing.T, c *rendercache.Cache[int, int], first, n int) map[string]bool {
	t.Helper()
	var mu sync.Mutex
	used := make(map[string]bool)
	var callers sync.WaitGroup
	hold := make(chan struct{})
	for i := range n {
		callers.Go(func() {
			_, err := c.Render(t.Context(), first+i, func(context.Context) (int, error) {
				mu.Lock()
				used[goroutine()] = true
				mu.Unlock()
				<-hold
				return i, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	synctest.Wait()
	close(hold)
	callers.Wait()
	synctest.Wait()
	return used
}

// Some goroutines stay for the next renders, no more than can run at once, and end with the cache. That all have ended is what
// the bubble sees to.
func TestGoroutinesStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stay := runtime.GOMAXPROCS(0)
		n := stay + 5
		c, err := rendercache.New(rendercache.Config[int, int]{MaxConcurrentRenders: n})
		if err != nil {
			t.Fatal(err)
		}
		first, second := atOnce(t, c, 0, n), atOnce(t, c, n, n)
		if len(first) != n || len(second) != n {
			t.Fatalf("%d and %d goroutines rendered, want %d each", len(first), len(second), n)
		}
		both := 0
		for name := range second {
			if first[name] {
				both++
			}
		}
		if both != stay {
			t.Errorf("%d of the goroutines rendered again, want %d", both, stay)
		}
		c.Close()
	})
}

// A render that ends its goroutine takes it away from nobody.
func TestGoroutineEndedByARender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := rendercache.New(rendercache.Config[int, int]{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for i := range 3 {
			atOnce(t, c, 10*i, 1)
			if _, err := c.Render(t.Context(), -1, func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }); err == nil {
				t.Error("a render that ended its goroutine has no error")
			}
			synctest.Wait()
		}
	})
}

// An open cache has no goroutine once it was idle for a while. The bubble fails a test that leaves one behind, and the cache is
// never closed.
func TestIdleCacheHasNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := rendercache.New(rendercache.Config[int, int]{})
		if err != nil {
			t.Fatal(err)
		}
		atOnce(t, c, 0, 2*runtime.GOMAXPROCS(0))
		time.Sleep(time.Second)
	})
}
