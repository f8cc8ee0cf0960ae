package goroutines_test

import (
	"bytes"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

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
		p := goroutines.New(3, 0)
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
		p := goroutines.New(2, 0)
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

const rest = 100 * time.Millisecond

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := goroutines.New(1, 0)
		ended := false
		p.Start(func() {
			time.Sleep(time.Second)
			ended = true
		})
		p.End()
		p.Wait()
		if !ended {
			t.Error("Wait returned while work was running")
		}
	})
}

// The bubble fails a test that leaves a goroutine behind, and the pool is never ended.
func TestRest(t *testing.T) {
	for _, n := range []int{1, 3, 5} {
		synctest.Test(t, func(t *testing.T) {
			p := goroutines.New(3, rest)
			first := atOnce(p, n)
			time.Sleep(rest - 1)
			second := atOnce(p, n)
			if stayed := common(first, second); stayed != min(n, 3) {
				t.Errorf("%d of %d ran again before the rest was over, want %d", stayed, n, min(n, 3))
			}
			time.Sleep(2 * rest)
			synctest.Wait()
			if stayed := common(second, atOnce(p, n)); stayed != 0 {
				t.Errorf("%d of %d ran again after the rest, want none", stayed, n)
			}
			p.Wait()
		})
	}
}

// What is used more often than once a rest stays, for however long, and whenever the looks come.
func TestRestBesideWork(t *testing.T) {
	for _, pause := range []time.Duration{rest / 7, rest / 2, rest - 1} {
		synctest.Test(t, func(t *testing.T) {
			p := goroutines.New(2, rest)
			first := atOnce(p, 2)
			for range 50 {
				time.Sleep(pause)
				if again := atOnce(p, 2); common(first, again) != 2 {
					t.Fatalf("with a pause of %v %d of 2 stayed", pause, common(first, again))
				}
			}
			p.Wait()
		})
	}
}

// A goroutine that comes to wait at the very moment of a look is not forgotten. The bubble finds one that is.
func TestRestWhileOthersCome(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			p := goroutines.New(4, rest)
			for i := range 8 {
				time.AfterFunc(time.Duration(i)*rest/2, func() { p.Start(func() {}) })
				time.AfterFunc(time.Duration(i)*rest/2, func() { p.Start(func() { time.Sleep(rest) }) })
			}
			time.Sleep(4 * rest)
			synctest.Wait()
			p.Wait()
		})
	}
}

// A pool that nobody has any more is collected, ended or not: neither a goroutine nor a timer keeps it. A look that sends somebody
// away may find that it has not ended yet, and then two more follow.
func TestRestLeavesNothing(t *testing.T) {
	for _, ended := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := goroutines.New(3, rest)
			atOnce(p, 5)
			if ended {
				p.End()
			}
			gone := weak.Make(p)
			p = nil
			time.Sleep(4 * rest)
			synctest.Wait()
			runtime.GC()
			if gone.Value() != nil {
				t.Errorf("ended %v: the pool is still held", ended)
			}
		})
	}
}
