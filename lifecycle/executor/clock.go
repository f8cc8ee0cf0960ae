package executor

import (
	"context"
	"errors"
	"time"

	"github.com/coder/quartz"
)

// shutdownGrace limits what is still written after a context has ended.
const shutdownGrace = 10 * time.Second

// pause waits on a clock.
func pause(ctx context.Context, clock quartz.Clock, d time.Duration) {
	over := make(chan struct{})
	timer := clock.AfterFunc(d, func() { close(over) }, "executor", "timeout")
	defer timer.Stop("executor", "timeout")
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// withTimeout is [context.WithTimeoutCause] on a clock.
func withTimeout(ctx context.Context, clock quartz.Clock, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	if clock == real {
		//nolint:forbidigo // it is the injected clock
		return context.WithTimeoutCause(ctx, d, cause)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := clock.AfterFunc(d, func() { cancel(cause) }, "executor", "timeout")
	return timedContext{ctx, cause}, func() {
		timer.Stop("executor", "timeout")
		cancel(context.Canceled)
	}
}

// real is the clock that the contexts of the standard library know.
var real = quartz.NewReal()

// timedContext says that its time is over where it is. It tells no deadline: those who read one compare it with the real
// clock.
type timedContext struct {
	context.Context
	late error
}

// Err implements context.Context.
func (c timedContext) Err() error {
	if errors.Is(context.Cause(c.Context), c.late) {
		return context.DeadlineExceeded
	}
	return c.Context.Err()
}

// afterwards is a context for what must be written though ctx has ended, for at most shutdownGrace.
func afterwards(ctx context.Context, clock quartz.Clock) (context.Context, context.CancelFunc) {
	return withTimeout(context.WithoutCancel(ctx), clock, shutdownGrace, &TimeoutError{Doing: "write what is left", Limit: shutdownGrace})
}
