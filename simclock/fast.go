package simclock

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/invalid"
)

// step is how often a fast clock catches up with the real one.
const step = 5 * time.Millisecond

// Fast returns a clock that shows start and from then on passes speed times as fast as the real one, until ctx ends; then it
// stands still. It is for demonstrations: everything that is given the clock lives so much faster, its timers too. What must not
// be, such as the time in which a database has to answer, is to be multiplied by speed in the configuration.
//
// The speed is 1 to 10,000. The clock moves every 5 milliseconds, so a timer fires up to that late. It is safe for concurrent
// use, and starts one goroutine.
func Fast(ctx context.Context, start time.Time, speed int) (quartz.Clock, error) {
	if speed < 1 || speed > 10_000 {
		return nil, invalid.New("speed", speed, "must be between 1 and 10000")
	}
	var refused refusals
	clock := quartz.NewMock(&refused).WithLogger(quartz.NoOpLogger)
	clock.Set(start)
	go drive(ctx, clock, &refused, start, speed)
	return clock, nil
}

// drive moves the clock until ctx ends.
func drive(ctx context.Context, clock *quartz.Mock, refused *refusals, start time.Time, speed int) {
	real := quartz.NewReal()
	began := real.Now()
	ticker := real.NewTicker(step)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			moveTo(ctx, clock, real, refused, start.Add(time.Duration(speed)*real.Since(began)))
		}
	}
}

// moveTo moves the clock to an instant, from timer to timer. A step over a timer that somebody has just made is refused, and
// tried again.
func moveTo(ctx context.Context, clock *quartz.Mock, real quartz.Clock, refused *refusals, to time.Time) {
	for ctx.Err() == nil {
		left := to.Sub(clock.Now())
		next, timers := clock.Peek()
		switch {
		case left <= 0:
			return
		case timers && next <= 0: // it fires at this instant, and is about to say so: nobody waits for what it starts
			<-real.NewTimer(20 * time.Microsecond).C
			continue
		case timers && next < left:
			left = next
		}
		before := refused.n.Load()
		clock.Advance(left)
		if refused.n.Load() == before && (!timers || next > left) {
			return
		}
	}
}

// refusals is the test that the mock clock asks for. It counts what would fail a test: steps that were not made.
type refusals struct {
	noTest
	n atomic.Int64
}

func (r *refusals) Errorf(string, ...any) { r.n.Add(1) }
func (r *refusals) Error(...any)          { r.n.Add(1) }
