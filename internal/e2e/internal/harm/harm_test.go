package harm

import (
	"testing"
	"time"
)

func TestDefaultDuration(t *testing.T) {
	for ci, want := range map[string]time.Duration{
		"": 10 * time.Second, "false": 10 * time.Second, "true": 20 * time.Second, "1": 20 * time.Second,
	} {
		if got := defaultDuration(ci); got != want {
			t.Errorf("CI=%q: %v, want %v", ci, got, want)
		}
	}
}
