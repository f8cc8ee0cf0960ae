package executor

import (
	"context"
	"time"

	"github.com/coder/quartz"
)

// shutdownGrace limits what is still written after a context has ended.
const shutdownGrace = 10 * time.Second

// pause waits on a clock.
func pause(ctx context.Context, clock quartz.Clock, d time.Duration) {
	ctx, cancel := withTimeout(ctx, clock, d)
	defer cancel()
	<-ctx.Done()
}

// withTimeout is context.WithTimeout on a clock.
func withTimeout(ctx context.Context, clock quartz.Clock, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := clock.AfterFunc(d, func() { cancel(context.DeadlineExceeded) }, "executor", "timeout")
	return ctx, func() {
		timer.Stop("executor", "timeout")
		cancel(context.Canceled)
	}
}

// afterwards is a context for what must be written though ctx has ended, for at most shutdownGrace.
func afterwards(ctx context.Context, clock quartz.Clock) (context.Context, context.CancelFunc) {
	return withTimeout(context.WithoutCancel(ctx), clock, shutdownGrace)
}
