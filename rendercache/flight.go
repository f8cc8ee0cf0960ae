package rendercache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"time"
)

// flight is one running render (or fetch of a handle) and those who wait for it. The counts are guarded by the lock of
// whoever owns the flight; the outcome is written before done is closed and read after, or under that lock.
type flight[V any] struct {
	root    root
	done    chan struct{}
	cancel  context.CancelCauseFunc
	waiters int // a refresh counts the cache itself as one
	running bool

	value V
	err   error
	ended int64 // nanoseconds since the owner's start
	until int64 // a remembered failure's last moment
	again int64 // the first moment for another refresh: never while it runs; not changed once others see the flight
}

// newFlight returns a flight with one waiter, and the context for its work: values of the caller's, cancellation of
// the flight's own. A caller that gives up does not stop what others wait for.
func newFlight[V any](ctx context.Context) (*flight[V], context.Context) {
	f := &flight[V]{root: root{caller: ctx}, done: make(chan struct{}), waiters: 1, running: true, again: math.MaxInt64}
	work, cancel := context.WithCancelCause(&f.root)
	f.cancel = cancel
	return f, work
}

// leave takes one waiter away and stops the work when it was the last. It reports whether it was. The owner's lock
// is held.
func (f *flight[V]) leave() bool {
	f.waiters--
	if f.waiters > 0 || !f.running {
		return false
	}
	f.cancel(ErrAbandoned)
	return true
}

// wait returns true when the flight has landed and false when ctx ended first.
func (f *flight[V]) wait(ctx context.Context) bool {
	select {
	case <-f.done:
		return true
	case <-ctx.Done():
	}
	select {
	case <-f.done: // both at once: what is there is better than an error
		return true
	default:
		return false
	}
}

// run runs the work and passes its outcome to publish, whatever the work does: a panic becomes an error, and should it
// end the goroutine, publish is still called with ErrGoexit. Either is logged here, where it happened, and so only once
// however many renders and waiters the error passes through.
func run[T any](logger *slog.Logger, work func() (T, error), publish func(T, error)) {
	var (
		out  T
		err  = ErrGoexit
		done bool
	)
	defer func() {
		if p := recover(); p != nil {
			err = caught(logger, p)
		} else if !done {
			logger.Error("render ended its goroutine", slog.Any("error", err))
		}
		publish(out, err)
	}()
	out, err = work()
	done = true
}

// caught makes an error of a panic and logs it. It is called while the panic's stack is still there.
func caught(logger *slog.Logger, p any) *PanicError {
	err := &PanicError{Value: p, Stack: debug.Stack()}
	logger.Error("render cache caught a panic", slog.Any("error", err), slog.String("stack", string(err.Stack)))
	return err
}

// notify runs a hook of the host, whose panic is logged and goes no further.
func notify(logger *slog.Logger, hook func()) {
	defer func() {
		if p := recover(); p != nil {
			_ = caught(logger, p)
		}
	}()
	hook()
}

// root is the root of the context of a flight's work. It has the caller's values and nothing else of the caller's,
// and it is one of those values itself: along the origins of a context one finds every flight it belongs to, and so a
// render that waits for itself. It is part of the flight, which saves each miss three allocations.
type root struct {
	caller context.Context
	ticket ticket // of a render; the zero value for the fetch of a handle
}

type rootKey struct{}

// Deadline implements [context.Context]: there is none.
func (*root) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done implements [context.Context]: never.
func (*root) Done() <-chan struct{} { return nil }

// Err implements [context.Context]: none.
func (*root) Err() error { return nil }

// Value implements [context.Context].
func (o *root) Value(key any) any {
	if key == (rootKey{}) {
		return o
	}
	return o.caller.Value(key)
}

func rootOf(ctx context.Context) *root {
	o, _ := ctx.Value(rootKey{}).(*root)
	return o
}

// within reports whether ctx belongs to the work of the flight.
func (f *flight[V]) within(ctx context.Context) bool {
	for o := rootOf(ctx); o != nil; o = rootOf(o.caller) {
		if o == &f.root {
			return true
		}
	}
	return false
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// closedError says that it was the closing when it was: the waiters' own contexts have not ended.
func closedError(ctx context.Context, err error) error {
	if isContextError(err) && errors.Is(context.Cause(ctx), ErrClosed) {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}
