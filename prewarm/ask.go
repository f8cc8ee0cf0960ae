package prewarm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/internal/outcall"
)

// errLate is the error of a call that takes too long.
var errLate = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)

// ask calls the backend, the cleaner or the store for at most a limit, whether it heeds its context or not. A call that does not return
// some time after its context has ended is given up: its goroutine is left behind, and its result ignored. Should it return
// after all, late is called, nil for nothing to do.
func ask[T any](ctx context.Context, p *Pool, what outcall.Name, limit time.Duration, f func(context.Context) (T, error), late func()) (T, error) {
	ctx, end := p.within(ctx, limit)
	defer end()
	return answerOf(ctx, p, what, f, late)
}

// askStore makes one call of the store. What one does that was given up counts as done by a call whose answer was lost.
func askStore[T any](ctx context.Context, p *Pool, what string, f func(context.Context) (T, error)) (T, error) {
	return ask(ctx, p, outcall.Name{Kind: what}, p.cfg.Timeout, f, nil)
}

// noteStuck says that a call was given up.
func (p *Pool) noteStuck(err error) {
	if stuck, given := outcall.Given(err); given && stuck.Before == 0 {
		p.cfg.Logger.Error("call given up: it does not return", "doing", stuck.Doing)
	}
}

// answerOf is ask without a limit but ctx.
func answerOf[T any](ctx context.Context, p *Pool, what outcall.Name, f func(context.Context) (T, error), late func()) (T, error) {
	v, err := outcall.DoOn(ctx, p.given, outcall.Apart, what, func(ctx context.Context) (v T, err error) {
		err = p.protect(what.Kind, func() (err error) { v, err = f(ctx); return err })
		return v, err
	}, func(T, error) {
		if late != nil {
			late()
		}
	})
	p.noteStuck(err)
	if err != nil {
		var none T
		return none, fmt.Errorf("prewarm: %s: %w", what.Kind, timely(ctx, err))
	}
	return v, nil
}

// about is what a call is called that concerns one member, so that those that hang take no places of other members.
func about(m Member, what string) outcall.Name {
	return outcall.Name{Kind: what, One: what + " resource " + m.Resource.String()}
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
