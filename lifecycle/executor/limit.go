package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/internal/outcall"
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

// caller makes the calls that leave the process, all of them: those of the store and of the host's hooks. None may take longer
// than its limit, whether it obeys its context or not, and no panic passes.
type caller struct {
	clock  quartz.Clock
	logger *slog.Logger
	given  *outcall.Calls // those given up
}

func newCaller(clock quartz.Clock, logger *slog.Logger) *caller {
	return &caller{clock: clock, logger: logger, given: outcall.New(clock, "executor", "stuck")}
}

// call calls f, for at most a limit. Where that ends f, the error is a [*TimeoutError].
func call[T any](ctx context.Context, c *caller, limit time.Duration, doing string, f func(context.Context) (T, error)) (T, error) {
	return callOn(ctx, c, outcall.Apart, limit, outcall.Name{Kind: doing}, f, nil)
}

// callOne is call for one of many things.
func callOne(ctx context.Context, c *caller, limit time.Duration, name outcall.Name, f func(context.Context) error) error {
	_, err := callOn(ctx, c, outcall.Apart, limit, name, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) }, nil)
	return err
}

// callOn is call where there are goroutines for many calls, where what f returns has to be released (unclaimed gets it if f was
// given up; nil for nobody), or where one of many things is called for: what has an id is never a kind, or nothing bounds what hangs.
func callOn[T any](
	ctx context.Context, c *caller, on outcall.Starter, limit time.Duration, name outcall.Name,
	f func(context.Context) (T, error), unclaimed func(T, error),
) (T, error) {
	var none T
	if ctx == nil {
		return none, invalid.New("ctx", nil, "is required")
	}
	late := &TimeoutError{Doing: name.String(), Limit: limit}
	limited, cancel := withTimeout(ctx, c.clock, limit, late)
	defer cancel()
	v, err := outcall.DoOn(limited, c.given, on, name, guarded(f), unclaimed)
	if stuck, ok := outcall.Given(err); ok {
		return none, c.gaveUp(ctx, stuck, limit)
	}
	if err != nil && errors.Is(context.Cause(limited), late) {
		return v, timedOut(late, err) // with what was done before
	}
	return v, err
}

// watch calls f, which may take as long as ctx lasts.
func watch(ctx context.Context, c *caller, doing string, f func(context.Context) error) error {
	_, err := outcall.Do(ctx, c.given, doing, guarded(func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) }), nil)
	if stuck, ok := outcall.Given(err); ok {
		return c.gaveUp(ctx, stuck, 0)
	}
	return err
}

// guarded is f with its panics as errors.
func guarded[T any](f func(context.Context) (T, error)) func(context.Context) (T, error) {
	return func(ctx context.Context) (v T, err error) {
		err = guard(func() (err error) { v, err = f(ctx); return err })
		return v, err
	}
}

// timedOut is the error of a call that returned one after its time. What it says beyond the end of its context is kept.
func timedOut(late *TimeoutError, err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return late
	}
	return fmt.Errorf("%w: %w", late, err)
}

// gaveUp is the error of a call that was given up, or not made because of others that were.
func (c *caller) gaveUp(ctx context.Context, stuck *outcall.Stuck, limit time.Duration) error {
	if stuck.Before > 0 {
		return fmt.Errorf("%s: %w", stuck.Doing, stuck)
	}
	c.logger.ErrorContext(ctx, "executor: call given up: it does not return", "doing", stuck.Doing, "limit", limit)
	return &TimeoutError{Doing: stuck.Doing, Limit: limit, Stuck: true}
}

// leftovers are the calls that have not returned, an error for each that has another name.
func (c *caller) leftovers() error {
	left, _ := c.given.All()
	var all []error
	for _, doing := range left {
		all = append(all, &TimeoutError{Doing: doing, Stuck: true})
	}
	return errors.Join(all...)
}

// isStuck reports an error of a call that may still be running.
func isStuck(err error) bool {
	var late *TimeoutError
	return errors.As(err, &late) && late.Stuck
}
