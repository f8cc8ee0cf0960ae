package invalid_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{invalid.Duration("Config.Interval", 0), ""},
		{invalid.Duration("Config.Interval", 438000*time.Hour), ""},
		{invalid.Duration("Config.Interval", -1), "Config.Interval -1ns: must not be negative"},
		{invalid.Duration("Config.Interval", math.MinInt64), "Config.Interval -2562047h47m16.854775808s: must not be negative"},
		{invalid.Duration("Config.Interval", 438000*time.Hour+1), "Config.Interval 438000h0m0.000000001s: must be at most 438000h0m0s, 50 years"},
		{invalid.Count("Config.Slots", 0), ""},
		{invalid.Count("Config.Slots", 1<<31-1), ""},
		{invalid.Count("Config.Slots", -1), "Config.Slots -1: must not be negative"},
		{invalid.Count("Config.Slots", 1<<31), "Config.Slots 2147483648: must be at most 2147483647"},
	} {
		got := ""
		if c.err != nil {
			got = fmt.Sprint(c.err)
		}
		if got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}

// A few of the longest durations can be added, and added to any instant that is not itself absurd.
func TestSettingsLeaveRoom(t *testing.T) {
	if d := 5 * invalid.MaxDuration; d/5 != invalid.MaxDuration || d < 0 {
		t.Errorf("five times the longest is %v", d)
	}
	if at := time.Now().Add(5 * invalid.MaxDuration); at.Year() > 9999 {
		t.Errorf("five times the longest from now on is %v", at)
	}
}
