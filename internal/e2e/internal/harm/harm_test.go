package harm

import (
	"testing"
	"time"
)

func TestDefaultDuration(t *testing.T) {
	for ci, want := range map[string]time.Duration{
		"": 10 * time.Second, "false": 10 * time.Second, "true": time.Minute, "1": time.Minute,
	} {
		if got := defaultDuration(ci); got != want {
			t.Errorf("CI=%q: %v, want %v", ci, got, want)
		}
	}
}
