// Package outcall calls what others have written, such as a host's hooks and stores, for callers that go on when it does not return.
//
// A call that is still under way some time after its context has ended is given up: its goroutine is left behind, counted and named
// until it returns, and its result goes to nobody. Of a kind at most [MaxStuck] are left behind; who wants fewer asks before the call,
// see [Calls.Stuck]. A time limit is the context's. A panic passes to the caller, as that of a function called in its own goroutine would.
package outcall

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/coder/quartz"
)

const (
	// Patience is how long a call may take to return when its context has ended.
	Patience = 3 * time.Second
	// MaxStuck is how many calls of a kind callers leave behind at most. Each holds a goroutine, and whatever it was given.
	MaxStuck = 100
)

// Stuck says that a call was given up, or not made because too many of its kind were. It is a [context.DeadlineExceeded].
type Stuck struct {
	// Doing is what was called.
	Doing string
	// Before: it was not called.
	Before bool
}

// Error implements error.
func (s *Stuck) Error() string {
	if s.Before {
		return fmt.Sprintf("not called: %d calls of it have not returned", MaxStuck)
	}
	return "given up: it does not return"
}

// Is makes errors.Is(err, [context.DeadlineExceeded]) true.
func (s *Stuck) Is(target error) bool { return target == context.DeadlineExceeded }

// Given returns what [Do] itself has returned because it gave a call up, or did not make it; an error of the call may wrap another one.
func Given(err error) (*Stuck, bool) {
	s, ok := err.(*Stuck) //nolint:errorlint // one that is wrapped is another's
	return s, ok
}

// Calls are those of one caller that were given up and have not returned. All methods are safe for concurrent use. See [New].
type Calls struct {
	clock quartz.Clock
	tags  []string

	mu    sync.Mutex
	stuck map[string]int
}

// New returns none. The tags are those of the timer that a test may trap.
func New(clock quartz.Clock, tags ...string) *Calls {
	return &Calls{clock: clock, tags: tags, stuck: map[string]int{}}
}

// Stuck counts the calls of a kind that were given up and have not returned.
func (c *Calls) Stuck(doing string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stuck[doing]
}

// All are the kinds of calls that were given up and have not returned, in order, and how many those are.
func (c *Calls) All() (kinds []string, calls int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for doing, n := range c.stuck {
		kinds, calls = append(kinds, doing), calls+n
	}
	slices.Sort(kinds)
	return kinds, calls
}

// leave counts a call that is left behind, or with -1 one that has returned after all.
func (c *Calls) leave(doing string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stuck[doing] += n; c.stuck[doing] == 0 {
		delete(c.stuck, doing)
	}
}

// Panic is what a caller panics with when the call has: the value, and where that was.
type Panic struct {
	Value any
	Stack []byte
}

// Error implements error.
func (p *Panic) Error() string { return fmt.Sprintf("%v\n\n%s", p.Value, p.Stack) }

// result is what a call returns.
type result[T any] struct {
	value T
	err   error
	panic *Panic
}

// resultOf calls f in the goroutine that it is given, and sends its result however that ends.
func resultOf[T any](ctx context.Context, f func(context.Context) (T, error), done chan<- result[T]) {
	r := result[T]{err: errors.New("its goroutine has ended")} // as a test's does that fails
	defer func() {
		if p := recover(); p != nil {
			r.panic = &Panic{p, debug.Stack()}
		}
		done <- r
	}()
	r.value, r.err = f(ctx)
}

// Starter runs a function on another goroutine, and returns at once.
type Starter func(func())

// Apart is a goroutine for one function alone.
func Apart(f func()) { go f() }

// Do calls f in a goroutine of its own and returns what it returns, or a [*Stuck] some time after ctx has ended. Should f return after
// that, late gets its result; nil for nobody. If as many calls of the kind are stuck as may be, f is not called.
func Do[T any](ctx context.Context, c *Calls, doing string, f func(context.Context) (T, error), late func(T, error)) (T, error) {
	return DoOn(ctx, c, Apart, doing, f, late)
}

// DoOn is [Do] where there are goroutines for many calls.
func DoOn[T any](
	ctx context.Context, c *Calls, start Starter, doing string, f func(context.Context) (T, error), late func(T, error),
) (T, error) {
	var none T
	if c.Stuck(doing) >= MaxStuck {
		return none, &Stuck{Doing: doing, Before: true}
	}
	done := make(chan result[T], 1)
	start(func() { resultOf(ctx, f, done) })
	r, returned := await(ctx, c, done)
	switch {
	case r.panic != nil:
		panic(r.panic)
	case returned:
		return r.value, r.err
	}
	c.leave(doing, 1)
	go func() {
		r := <-done
		c.leave(doing, -1)
		if late != nil && r.panic == nil {
			late(r.value, r.err)
		}
	}()
	return none, &Stuck{Doing: doing}
}

// await waits for a call, and for some time more when its context has ended.
func await[T any](ctx context.Context, c *Calls, done <-chan result[T]) (result[T], bool) {
	select {
	case r := <-done:
		return r, true
	case <-ctx.Done():
	}
	timer := c.clock.NewTimer(Patience, c.tags...)
	defer timer.Stop(c.tags...)
	select {
	case r := <-done:
		return r, true
	case <-timer.C:
		return result[T]{}, false
	}
}
