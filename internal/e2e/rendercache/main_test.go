// Package rendercache_test checks the render cache and its handles against simple sequential models: random actions, in
// a bubble where after each of them everything that can happen has happened.
package rendercache_test

import (
	"flag"
	"fmt"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("1000") // a case takes less than a millisecond
	}
	goleak.VerifyTestMain(m)
}

// check runs a property in a bubble of its own for every case. rapid ends a case by a panic, which has to be carried
// from the bubble's goroutine to rapid's.
func check(t *testing.T, property func(t *testing.T, rt *rapid.T)) {
	rapid.Check(t, func(rt *rapid.T) {
		var ended any
		synctest.Test(t, func(t *testing.T) {
			defer func() { ended = recover() }()
			property(t, rt)
		})
		if ended != nil {
			panic(ended)
		}
	})
}

// want fails the case when a value is not what the model says.
func want[T comparable](rt *rapid.T, what string, got, expected T) {
	rt.Helper()
	if got != expected {
		rt.Fatalf("%s is %v, the model says %v", what, got, expected)
	}
}

// text compares errors by what they say; nil is "".
func text(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprint(err)
}
