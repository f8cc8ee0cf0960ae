// Package simclock has the clocks of simulations and demonstrations outside of tests: [New] stands still until the program sets
// it, and [Fast] passes so many times as fast as the real one.
//
// Give the clock of New to a Config and drive the engine yourself, with the executor's Tick and Relay for example; whatever is given the clock
// runs at the speed at which the program sets it.
//
// It guarantees that nothing happens between two calls of its Set and Advance, and that a run can be repeated.
//
// It does not step over timers by itself: Advance beyond the next timer panics, and with loops running nobody knows where
// that is. Tests of a plane that runs use package dormousetest instead, where time passes by itself.
package simclock

import (
	"fmt"
	"time"

	"github.com/coder/quartz"
)

// New returns a clock that shows start, and moves only when its Set or Advance is called. It is a quartz.Mock whose
// methods panic where a test would fail.
func New(start time.Time) *quartz.Mock {
	clock := quartz.NewMock(noTest{}).WithLogger(quartz.NoOpLogger)
	clock.Set(start)
	return clock
}

// noTest is the test that the mock clock asks for; what would fail it is a bug of the program.
type noTest struct{}

func (noTest) Helper()                      {}
func (noTest) Log(...any)                   {}
func (noTest) Logf(string, ...any)          {}
func (noTest) Error(args ...any)            { panic(fmt.Sprint(args...)) }
func (noTest) Errorf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (noTest) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (noTest) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (noTest) Cleanup(func())               {}
