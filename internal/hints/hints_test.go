package hints_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/internal/hints"
)

// A hint after a quiet time is passed on at once, and of those that come in a hurry none is lost: one is passed after the last.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var passed []time.Duration
		g := hints.NewGate(quartz.NewReal(), 50*time.Millisecond, "test", func() { passed = append(passed, time.Since(begun)) })
		for range 121 { // the last one comes at 120 ms
			g.Hint()
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		g.Hint()
		synctest.Wait()
		want := []time.Duration{0, 50 * time.Millisecond, 100 * time.Millisecond, 150 * time.Millisecond, 1121 * time.Millisecond}
		if !slices.Equal(passed, want) {
			t.Errorf("passed on at %v, want %v", passed, want)
		}
	})
}
