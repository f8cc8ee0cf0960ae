// Package simclock is the clock of a simulation: one that stands still until the program sets it. A library that reads
// the clock it is given, as this one does, runs at whatever speed the program likes.
package simclock

import (
	"fmt"
	"time"

	"github.com/coder/quartz"
)

// New returns a clock that shows start. Its methods panic where a test would fail.
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
