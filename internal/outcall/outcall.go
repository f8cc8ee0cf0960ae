// Package outcall calls what others have written, such as a host's hooks and stores, for callers that go on when it does not return.
//
// A call that is still under way some time after its context has ended is given up: its goroutine is left behind, counted and named
// until it returns, and its result goes to nobody. Where [MaxStuck] of a kind are left behind no further one is made; who wants fewer asks
// before the call, see [Calls.Stuck], or says in its [Name] whose calls these are. Calls that are under way when the bound is reached may
// still exceed it. A time limit is the context's. A panic passes to the caller, as that of a function called in its own goroutine would.
package outcall

import (
	"cmp"
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
	// MaxStuck is how many calls of a kind are left behind when no further one is made. Each holds a goroutine, and whatever it was given.
	MaxStuck = 100
	// MaxOfPart and MaxOfOne are how many of those may be of one part, and of one thing: what hangs for one does not take the places of
	// the others.
	MaxOfPart = 25
	MaxOfOne  = 3
)

// Name is what a call is called, for people and for its bounds.
type Name struct {
	// Kind is one of few, such as the method that is called.
	Kind string
	// Part is whose call it is, if there are several such, as there are several versions of a template. "" for nobody's.
	Part string
	// One is the call in full, with the id of what it concerns. "" if Kind says it all.
	One string
}

// String is the call in full.
func (n Name) String() string { return cmp.Or(n.One, n.Kind) }

// Stuck says that a call was given up, or not made because too many of its kind were. It is a [context.DeadlineExceeded].
type Stuck struct {
	// Doing is what was called.
	Doing string
	// Before is how many calls had not returned, for which it was not called; 0 if it was.
	Before int
	// Of is what these were calls of: the kind, the part or the thing.
	Of string
}

// Error implements error.
func (s *Stuck) Error() string {
	if s.Before > 0 {
		return fmt.Sprintf("not called: %d calls of %q have not returned", s.Before, s.Of)
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
	stuck map[string]map[Name]int // by kind: a caller may have many, and MaxStuck bounds those of each
	all   int
}

// New returns none. The tags are those of the timer that a test may trap.
func New(clock quartz.Clock, tags ...string) *Calls {
	return &Calls{clock: clock, tags: tags, stuck: map[string]map[Name]int{}}
}

// Stuck counts the calls of a kind that were given up and have not returned.
func (c *Calls) Stuck(kind string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count(Name{Kind: kind})
}

// count counts the calls of a kind, of a part of it, or of one thing. mu is locked.
func (c *Calls) count(of Name) (n int) {
	for name, stuck := range c.stuck[of.Kind] {
		if (of.Part == "" || name.Part == of.Part) && (of.One == "" || name.One == of.One) {
			n += stuck
		}
	}
	return n
}

// refuse is why a call is not made, nil if it is.
func (c *Calls) refuse(name Name) *Stuck {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.count(Name{Kind: name.Kind}); n >= MaxStuck {
		return &Stuck{Doing: name.String(), Before: n, Of: name.Kind}
	}
	if n := c.count(Name{Kind: name.Kind, Part: name.Part}); name.Part != "" && n >= MaxOfPart {
		return &Stuck{Doing: name.String(), Before: n, Of: name.Part}
	}
	if n := c.count(name); name.One != "" && n >= MaxOfOne {
		return &Stuck{Doing: name.String(), Before: n, Of: name.One}
	}
	return nil
}

// Len counts the calls that were given up and have not returned, of all kinds.
func (c *Calls) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

// All are the calls that were given up and have not returned, each once, in order, and how many those are.
func (c *Calls) All() (doing []string, calls int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kind := range c.stuck {
		for name := range kind {
			doing = append(doing, name.String())
		}
	}
	slices.Sort(doing)
	return doing, c.all
}

// Leftovers is an error for each that [Calls.All] names, behind whose calls they are; nil if there are none.
func (c *Calls) Leftovers(whose string) error {
	doing, _ := c.All()
	all := make([]error, len(doing))
	for i, what := range doing {
		all[i] = fmt.Errorf("%s: %s: %w", whose, what, &Stuck{Doing: what})
	}
	return errors.Join(all...)
}

// leave counts a call that is left behind, or with -1 one that has returned after all.
func (c *Calls) leave(name Name, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all += n
	kind := c.stuck[name.Kind]
	if kind == nil {
		kind = map[Name]int{}
		c.stuck[name.Kind] = kind
	}
	if kind[name] += n; kind[name] == 0 {
		delete(kind, name)
	}
	if len(kind) == 0 {
		delete(c.stuck, name.Kind)
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
// that, late gets its result; nil for nobody. Doing is the call's kind: if as many of it are stuck as may be, f is not called.
func Do[T any](ctx context.Context, c *Calls, doing string, f func(context.Context) (T, error), late func(T, error)) (T, error) {
	return DoOn(ctx, c, Apart, Name{Kind: doing}, f, late)
}

// DoOn is [Do] where there are goroutines for many calls, or where not all calls of a kind are one another's.
func DoOn[T any](
	ctx context.Context, c *Calls, start Starter, name Name, f func(context.Context) (T, error), late func(T, error),
) (T, error) {
	var none T
	if stuck := c.refuse(name); stuck != nil {
		return none, stuck
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
	c.leave(name, 1)
	go func() {
		r := <-done
		c.leave(name, -1)
		if late != nil && r.panic == nil {
			late(r.value, r.err)
		}
	}()
	return none, &Stuck{Doing: name.String()}
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
