package dormouse

import (
	"context"
	"fmt"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/outcall"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// readTimeout is how long one read of the plane's own loops may take: what an executor gives a call by default.
const readTimeout = 30 * time.Second

// reads are what the loops of [Plane.Run] read beside the engines. A read that takes too long fails, whether it heeds its context or
// not, so that none of them stands still for a store that does not return.
type reads struct {
	store store.Store
	clock quartz.Clock
	given *outcall.Calls // those given up
}

func newReads(s store.Store, clock quartz.Clock) reads {
	return reads{store: s, clock: clock, given: outcall.New(clock, "dormouse", "stuck")}
}

// read makes one read. Its error is a [lifecycle.ErrUnavailable] if it took too long.
func read[T any](ctx context.Context, r reads, what string, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := fmt.Errorf("%s: no answer within %v: %w: %w", what, readTimeout, lifecycle.ErrUnavailable, context.DeadlineExceeded)
	defer r.clock.AfterFunc(readTimeout, func() { cancel(late) }, "dormouse", "read").Stop()
	v, err := outcall.Do(ctx, r.given, what, f, nil)
	switch _, given := outcall.Given(err); {
	case given && ctx.Err() == nil:
		return v, fmt.Errorf("%s: %w: %w", what, lifecycle.ErrUnavailable, err)
	case err != nil && context.Cause(ctx) == late: //nolint:errorlint // this call's
		return v, late
	}
	return v, err
}

// NextWake is that of the store.
func (r reads) NextWake(ctx context.Context, s lifecycle.Shard) (time.Time, error) {
	return read(ctx, r, "next wake", func(ctx context.Context) (time.Time, error) { return r.store.NextWake(ctx, s) })
}

// Template is that of the store.
func (r reads) Template(ctx context.Context, id uuid.UUID) (t lifecycle.Template, ok bool, err error) {
	type found struct {
		template lifecycle.Template
		ok       bool
	}
	f, err := read(ctx, r, "template", func(ctx context.Context) (f found, err error) {
		f.template, f.ok, err = r.store.Template(ctx, id)
		return f, err
	})
	return f.template, f.ok, err
}

// List is that of the store.
func (r reads) List(ctx context.Context, q lifecycle.ListQuery) ([]lifecycle.Snapshot, error) {
	return read(ctx, r, "list", func(ctx context.Context) ([]lifecycle.Snapshot, error) { return r.store.List(ctx, q) })
}

// Jobs is that of the store.
func (r reads) Jobs(ctx context.Context, f queue.Filter) ([]queue.Job, error) {
	return read(ctx, r, "jobs", func(ctx context.Context) ([]queue.Job, error) { return r.store.Jobs(ctx, f) })
}
