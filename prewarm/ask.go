package prewarm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coder/quartz"
)

const (
	// stuckAfter is how long a call of the backend may take to return when its context has ended.
	stuckAfter = 3 * time.Second
	// maxStuck bounds, for each method, the calls that were given up and have not returned, since each holds a goroutine. The
	// method is not called again until one of them returns.
	maxStuck = 100
)

// Errors of calls that take too long.
var (
	errLate  = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	errStuck = errors.New("given up: it does not return")
)

// ask calls the backend or the cleaner for at most a limit, whether it heeds its context or not. A call that does not return
// some time after its context has ended is given up: its goroutine is left behind, and its result ignored. Should it return
// after all, late is called, nil for nothing to do.
func ask[T any](ctx context.Context, p *Pool, what string, limit time.Duration, f func(context.Context) (T, error), late func()) (T, error) {
	ctx, end := p.within(ctx, limit)
	defer end()
	return answerOf(ctx, p, what, f, late)
}

// answerOf is ask without a limit but ctx.
func answerOf[T any](ctx context.Context, p *Pool, what string, f func(context.Context) (T, error), late func()) (T, error) {
	var none T
	if p.isStuck(what) {
		return none, fmt.Errorf("prewarm: %s: not called: %d calls have not returned", what, maxStuck)
	}
	done, givenUp := make(chan result[T]), make(chan struct{})
	go func() {
		var r result[T]
		r.err = p.protect(what, func() (err error) { r.value, err = f(ctx); return err })
		select {
		case done <- r:
		case <-givenUp:
			p.stick(what, -1)
			if late != nil {
				late()
			}
		}
	}()
	r, ok := await(ctx, p.clock, done)
	switch {
	case !ok:
		p.stick(what, 1)
		close(givenUp)
		return none, fmt.Errorf("prewarm: %s: %w", what, errStuck)
	case r.err != nil:
		return none, fmt.Errorf("prewarm: %s: %w", what, timely(ctx, r.err))
	}
	return r.value, nil
}

// result is what a call returns.
type result[T any] struct {
	value T
	err   error
}

// await waits for a call, and for some time more when its context has ended.
func await[T any](ctx context.Context, clock quartz.Clock, done <-chan result[T]) (result[T], bool) {
	select {
	case r := <-done:
		return r, true
	case <-ctx.Done():
	}
	timer := clock.NewTimer(stuckAfter, "pool", "stuck")
	defer timer.Stop()
	select {
	case r := <-done:
		return r, true
	case <-timer.C:
		return result[T]{}, false
	}
}

// within bounds a context in time.
func (p *Pool) within(ctx context.Context, limit time.Duration) (limited context.Context, end func()) {
	limited, cancel := context.WithCancelCause(ctx)
	guard := p.clock.AfterFunc(limit, func() { cancel(errLate) }, "pool", "call")
	return limited, func() {
		guard.Stop()
		cancel(nil)
	}
}

// timely says of an error that is only that of the context why the context has ended.
func timely(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), errLate) {
		return errLate
	}
	return err
}

// stick counts the calls of a method that were given up and have not returned.
func (p *Pool) stick(what string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stuck[what] += n
}

func (p *Pool) isStuck(what string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stuck[what] >= maxStuck
}
