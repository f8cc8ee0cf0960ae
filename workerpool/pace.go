package workerpool

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/coder/quartz"
)

// pace spreads calls evenly, first come, first served.
type pace struct {
	clock quartz.Clock
	every time.Duration

	mu   sync.Mutex
	next time.Time
}

func newPace(clock quartz.Clock, perSecond float64) *pace {
	return &pace{clock: clock, every: time.Duration(float64(time.Second) / perSecond)}
}

// wait returns when it is the caller's turn, or ctx's error.
func (p *pace) wait(ctx context.Context) error {
	p.mu.Lock()
	now := p.clock.Now()
	if p.next.Before(now) {
		p.next = now
	}
	d := p.next.Sub(now)
	p.next = p.next.Add(p.every)
	p.mu.Unlock()
	if d <= 0 {
		return ctx.Err()
	}
	timer := p.clock.NewTimer(d, "workerpool", "pace")
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// protect turns a panic of a driver into an error: one bad answer must not end the pool.
func protect(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return f()
}
