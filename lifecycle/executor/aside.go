package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dormouse-go/dormouse/internal/breaker"
	"github.com/dormouse-go/dormouse/internal/outcall"
	"github.com/dormouse-go/dormouse/lifecycle"
)

const (
	// asideLimit is how long a tick or a verb waits for what it can go on without.
	asideLimit = 2 * time.Second
	// asideFirst and asideLongest are the pauses after a call that took longer.
	asideFirst   = 15 * time.Second
	asideLongest = 10 * time.Minute
)

// errLeftAlone says that something was not asked because it hung a while ago. It is no news.
var errLeftAlone = errors.New("left alone for a while: it took too long")

// aside is a kind of call of the store that its caller can go on without. It takes a moment at most; where that was too short
// it is not made again for a while, nor before it has returned.
type aside struct {
	mu    sync.Mutex
	pause breaker.Breaker
}

// askAside calls the store for what its caller can go on without.
func askAside[T any](ctx context.Context, b *bounded, a *aside, doing string, f func(context.Context) (T, error)) (v T, err error) {
	if a.wait(b.clock.Now("executor", "aside")) > 0 || b.given.Stuck(doing) > 0 {
		return v, errLeftAlone
	}
	v, err = askWithin(ctx, b, min(b.limit, asideLimit), doing, f)
	a.note(err, b.clock.Now("executor", "aside"))
	return v, err
}

func (a *aside) wait(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pause.Wait(now)
}

// note remembers calls that took too long. What fails at once costs nobody time.
func (a *aside) note(err error, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pause.First, a.pause.Max = asideFirst, asideLongest
	switch {
	case err == nil:
		a.pause.Succeed()
	case isLate(err):
		a.pause.Fail(now)
	}
}

// ask calls the store, unless too many calls of the kind hang already.
func ask[T any](ctx context.Context, b *bounded, doing string, f func(context.Context) (T, error)) (T, error) {
	return askWithin(ctx, b, b.limit, doing, f)
}

// askWithin calls the store for at most a limit.
func askWithin[T any](ctx context.Context, b *bounded, limit time.Duration, doing string, f func(context.Context) (T, error)) (T, error) {
	v, err := call(ctx, b.caller, limit, doing, f)
	var stuck *outcall.Stuck
	if isLate(err) || errors.As(err, &stuck) {
		err = fmt.Errorf("%w: %w", lifecycle.ErrUnavailable, err)
	}
	return v, err
}

// isLate reports an error of a call that took too long.
func isLate(err error) bool {
	var late *TimeoutError
	return errors.As(err, &late)
}
