package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/invalid"
)

// TimeoutError says that a call of the store or of a hook of the host took longer than it may. It is a
// [context.DeadlineExceeded], and the cause of the context that the call was given.
type TimeoutError struct {
	// Doing is what was called, with the id of what it concerned.
	Doing string
	// Limit is how long it may take, 0 if that is as long as its context lasts.
	Limit time.Duration
	// Stuck: it did not return when its context ended either, and still has not, as far as the executor knows. Whatever it
	// holds is its own; the executor goes on without it.
	Stuck bool
}

// Error implements error.
func (e *TimeoutError) Error() string {
	if e.Stuck && e.Limit == 0 {
		return e.Doing + ": did not return when its context ended"
	}
	if e.Stuck {
		return fmt.Sprintf("%s: did not return within %v, nor when its context ended", e.Doing, e.Limit)
	}
	return fmt.Sprintf("%s: took longer than %v", e.Doing, e.Limit)
}

// Is makes errors.Is(err, [context.DeadlineExceeded]) true.
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// stuckAfter is how long a call may take to return when its context has ended.
const stuckAfter = 3 * time.Second

// caller makes the calls that leave the process, all of them: those of the store and of the host's hooks. None may take longer
// than its limit, whether it obeys its context or not, and no panic passes.
type caller struct {
	clock  quartz.Clock
	logger *slog.Logger

	mu    sync.Mutex
	stuck map[*TimeoutError]struct{}
}

func newCaller(clock quartz.Clock, logger *slog.Logger) *caller {
	return &caller{clock: clock, logger: logger, stuck: map[*TimeoutError]struct{}{}}
}

// result is what a call returns.
type result[T any] struct {
	value T
	err   error
}

// call calls f, for at most a limit. Where that ends f, the error is a [*TimeoutError].
func call[T any](ctx context.Context, c *caller, limit time.Duration, doing string, f func(context.Context) (T, error)) (T, error) {
	return callOr(ctx, c, limit, doing, f, func(T, error) {})
}

// callOr is call for what has to be released: what f returns after it was given up goes to unclaimed.
func callOr[T any](
	ctx context.Context, c *caller, limit time.Duration, doing string, f func(context.Context) (T, error), unclaimed func(T, error),
) (T, error) {
	return callOn(ctx, c, apart, limit, doing, f, unclaimed)
}

// starter runs a function on another goroutine.
type starter func(func())

// apart is a goroutine for one function alone.
func apart(f func()) { go f() }

// callOn is callOr where there are goroutines for many calls.
func callOn[T any](
	ctx context.Context, c *caller, on starter, limit time.Duration, doing string,
	f func(context.Context) (T, error), unclaimed func(T, error),
) (T, error) {
	var none T
	if ctx == nil {
		return none, invalid.New("ctx", nil, "is required")
	}
	late := &TimeoutError{Doing: doing, Limit: limit}
	limited, cancel := withTimeout(ctx, c.clock, limit, late)
	defer cancel()
	done := begin(limited, on, f)
	r, ok := await(limited, c.clock, done)
	if !ok {
		return none, c.abandon(ctx, doing, limit, func() {
			r := <-done
			unclaimed(r.value, r.err)
		})
	}
	if r.err != nil && errors.Is(context.Cause(limited), late) {
		return none, timedOut(late, r.err)
	}
	return r.value, r.err
}

// watch calls f, which may take as long as ctx lasts.
func watch(ctx context.Context, c *caller, doing string, f func(context.Context) error) error {
	done := begin(ctx, apart, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
	r, ok := await(ctx, c.clock, done)
	if !ok {
		return c.abandon(ctx, doing, 0, func() { <-done })
	}
	return r.err
}

// begin calls f beside the caller.
func begin[T any](ctx context.Context, on starter, f func(context.Context) (T, error)) <-chan result[T] {
	done := make(chan result[T], 1)
	on(func() {
		var r result[T]
		r.err = guard(func() (err error) { r.value, err = f(ctx); return err })
		done <- r
	})
	return done
}

// timedOut is the error of a call that returned one after its time. What it says beyond the end of its context is kept.
func timedOut(late *TimeoutError, err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return late
	}
	return fmt.Errorf("%w: %w", late, err)
}

// await waits for a call, and for some time more when its context has ended.
func await[T any](ctx context.Context, clock quartz.Clock, done <-chan result[T]) (result[T], bool) {
	select {
	case r := <-done:
		return r, true
	case <-ctx.Done():
	}
	over := make(chan struct{})
	timer := clock.AfterFunc(stuckAfter, func() { close(over) }, "executor", "stuck")
	defer timer.Stop("executor", "stuck")
	select {
	case r := <-done:
		return r, true
	case <-over:
		return result[T]{}, false
	}
}

// abandon notes a call that does not return, until it does, and returns the error that says so.
func (c *caller) abandon(ctx context.Context, doing string, limit time.Duration, returned func()) error {
	late := &TimeoutError{Doing: doing, Limit: limit, Stuck: true}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stuck[late] = struct{}{}
	c.logger.ErrorContext(ctx, "executor: call given up: it does not return", "doing", doing, "limit", limit)
	go func() {
		returned()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.stuck, late)
	}()
	return late
}

// leftovers are the calls that have not returned.
func (c *caller) leftovers() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []error
	for late := range c.stuck {
		all = append(all, late)
	}
	return errors.Join(all...)
}

// isStuck reports an error of a call that may still be running.
func isStuck(err error) bool {
	var late *TimeoutError
	return errors.As(err, &late) && late.Stuck
}
