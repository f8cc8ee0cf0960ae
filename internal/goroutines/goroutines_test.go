package goroutines_test

import (
	"bytes"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/dormouse-go/dormouse/internal/goroutines"
)

// name is that of the goroutine that calls it.
func name() string {
	stack := make([]byte, 64)
	stack = stack[:runtime.Stack(stack, false)]
	return string(bytes.Fields(stack)[1])
}

// atOnce runs n functions at the same time and returns the goroutines that did.
func atOnce(p *goroutines.Pool, n int) map[string]bool {
	var mu sync.Mutex
	used := make(map[string]bool)
	hold := make(chan struct{})
	for range n {
		p.Start(func() {
			mu.Lock()
			used[name()] = true
			mu.Unlock()
			<-hold
		})
	}
	synctest.Wait()
	close(hold)
	synctest.Wait()
	return used
}

func common(a, b map[string]bool) (n int) {
	for name := range a {
		if b[name] {
			n++
		}
	}
	return n
}

// As many stay as the pool was made for, and no more. That all have ended is what the bubble sees to.
func TestSomeStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := goroutines.New(3)
		first, second := atOnce(p, 8), atOnce(p, 8)
		if len(first) != 8 || len(second) != 8 {
			t.Fatalf("%d and %d goroutines ran, want 8 each", len(first), len(second))
		}
		if n := common(first, second); n != 3 {
			t.Errorf("%d ran again, want 3", n)
		}
		p.End()
		p.Wait()
		if after := atOnce(p, 2); len(after) != 2 || common(second, after) != 0 {
			t.Errorf("after the end: %d goroutines, %d of them from before; want 2 and 0", len(after), common(second, after))
		}
		p.Wait()
	})
}

// What ends its goroutine takes it away from nobody.
func TestWorkEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := goroutines.New(2)
		first := atOnce(p, 2)
		p.Start(runtime.Goexit)
		p.Start(runtime.Goexit)
		synctest.Wait()
		if second := atOnce(p, 2); len(second) != 2 || common(first, second) != 0 {
			t.Errorf("%d goroutines, %d of them ended before", len(second), common(first, second))
		}
		p.End()
		p.Wait()
	})
}
