package acquirer

import (
	"context"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/outcall"
)

// stayFor is how long the goroutines of calls stay for the next one: most jobs are posted and started while nothing else happens, and on
// new goroutines that would take a few percent longer.
const stayFor = 5 * time.Second

// errTooLong says that a call of the store was still under way at the end of its time limit.
var errTooLong = fmt.Errorf("it took too long: %w", context.DeadlineExceeded)

// starter starts calls of the store. Without Run nobody would ever end the goroutines that stay.
func (a *Acquirer) starter() outcall.Starter {
	if a.staying.Load() {
		return a.stay.Start
	}
	return outcall.Apart
}

// ask makes one call of the store under its own time limit and counts it. Its error says what was attempted. A call that ignores
// the end of its context is given up: what it does after that counts as done by a call whose answer was lost.
func ask[T any](ctx context.Context, a *Acquirer, operation string, f func(ctx context.Context) (T, error)) (T, error) {
	return askOr(ctx, a, operation, f, nil)
}

// askOr is ask for what has to be undone: late gets what f returns after it was given up.
func askOr[T any](ctx context.Context, a *Acquirer, operation string, f func(ctx context.Context) (T, error), late func(T, error)) (T, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	guard := a.clock.AfterFunc(a.cfg.Timeout, func() { cancel(errTooLong) }, "store", operation)
	defer guard.Stop()
	begun := a.clock.Now()
	v, err := outcall.DoOn(ctx, a.given, a.starter(), outcall.Name{Kind: operation}, f, late)
	a.metrics.storeCall(operation, a.clock.Since(begun), err)
	if err == nil {
		return v, nil
	}
	a.noteStuck(err)
	if cause := context.Cause(ctx); cause == errTooLong { //nolint:errorlint // that of this call, and no caller's
		err = fmt.Errorf("%w (%v): %w", cause, a.cfg.Timeout, err)
	}
	return v, fmt.Errorf("acquirer: %s: %w", operation, err)
}

// call is ask for what answers nothing.
func (a *Acquirer) call(ctx context.Context, operation string, f func(ctx context.Context) error) error {
	_, err := ask(ctx, a, operation, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
	return err
}

// askRetry asks the host whether a job may be retried.
func (a *Acquirer) askRetry(ctx context.Context, job queue.Job) error {
	name := outcall.Name{
		Kind: "Config.Retry", Part: "organization " + job.Organization.String(), One: "Config.Retry for job " + job.ID.String(),
	}
	_, err := outcall.DoOn(ctx, a.given, outcall.Apart, name,
		func(ctx context.Context) (struct{}, error) { return struct{}{}, a.cfg.Retry(ctx, job) }, nil)
	a.noteStuck(err)
	return err
}

// lookUp reads jobs.
func (a *Acquirer) lookUp(ctx context.Context, operation string, which queue.Filter) ([]queue.Job, error) {
	return ask(ctx, a, operation, func(ctx context.Context) ([]queue.Job, error) { return a.store.Jobs(ctx, which) })
}

// noteStuck writes down that a call was given up.
func (a *Acquirer) noteStuck(err error) {
	if stuck, ok := outcall.Given(err); ok && stuck.Before == 0 {
		a.cfg.Logger.Error("call given up: it does not return", "doing", stuck.Doing)
	}
}
