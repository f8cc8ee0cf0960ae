package harm

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			enough, want int
		}{
			{0, 20},     // for as long as asked
			{50, 50},    // until it is worth something
			{1e9, 3020}, // which it may never be
		} {
			done := 0
			Do(2*time.Second, func() { time.Sleep(100 * time.Millisecond); done++ }, func() bool { return done >= c.enough })
			if done != c.want {
				t.Errorf("worth something after %d: harmed %d times, want %d", c.enough, done, c.want)
			}
		}
	})
}

func TestDefaultDuration(t *testing.T) {
	for ci, want := range map[string]time.Duration{
		"": 10 * time.Second, "false": 10 * time.Second, "true": 20 * time.Second, "1": 20 * time.Second,
	} {
		if got := defaultDuration(ci); got != want {
			t.Errorf("CI=%q: %v, want %v", ci, got, want)
		}
	}
}
