package schedule_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/schedule"
)

func TestBump(t *testing.T) {
	t.Parallel()
	now := instant(t, "2026-03-02T09:00:00Z")
	in := func(d string) time.Time {
		if d == "" {
			return time.Time{}
		}
		return now.Add(duration(t, d))
	}
	for _, tt := range []struct {
		name                       string
		deadline, limit, autostart string
		bump, ttl                  string
		want                       string // "" when nothing moves
	}{
		{name: "an hour from now", deadline: "10m", bump: "1h", want: "1h"},
		{name: "exactly 5 % used", deadline: "57m", bump: "1h"},
		{name: "just over 5 %", deadline: "56m59.999999s", bump: "1h", want: "1h"},
		{name: "passed already", deadline: "-1m", bump: "1h", want: "1h"},
		{name: "far away", deadline: "8h", bump: "1h"},
		{name: "no deadline", bump: "1h"},
		{name: "off", deadline: "10m", bump: "0s"},
		{name: "less than a second is none", deadline: "0s", bump: "999ms"},
		{name: "cut to seconds", deadline: "10m", bump: "1h0m0.9s", want: "1h"},
		{name: "up to the cap", deadline: "10m", limit: "30m", bump: "1h", want: "30m"},
		{name: "at the cap", deadline: "10m", limit: "10m", bump: "1h"},
		{name: "reaches the autostart", deadline: "10m", autostart: "1h", bump: "1h", ttl: "8h", want: "1h"},
		{name: "reaches over it", deadline: "10m", autostart: "59m59s", bump: "1h", ttl: "8h", want: "8h59m59s"},
		{name: "over it without a TTL", deadline: "10m", autostart: "30m", bump: "1h"},
		{name: "over it with a TTL that is cut", deadline: "10m", autostart: "30m", bump: "1h", ttl: "1h0m0.9s", want: "1h30m"},
		{name: "over it, up to the cap", deadline: "10m", autostart: "30m", limit: "2h", bump: "1h", ttl: "8h", want: "2h"},
		{name: "over it, 5 % of all that not used", deadline: "8h5m", autostart: "30m", bump: "1h", ttl: "8h"},
		{name: "the autostart is now", deadline: "10m", autostart: "0s", bump: "1h", want: "1h"},
		{name: "the autostart has passed", deadline: "10m", autostart: "-1m", bump: "1h", want: "1h"},
	} {
		got, changed := schedule.Bump(schedule.BumpInput{
			Now: now, Deadline: in(tt.deadline), MaxDeadline: in(tt.limit), NextAutostart: in(tt.autostart),
			Bump: orZero(t, tt.bump), TTL: orZero(t, tt.ttl),
		})
		want := in(tt.deadline)
		if tt.want != "" {
			want = in(tt.want)
		}
		if !got.Equal(want) || changed != (tt.want != "") {
			t.Errorf("%s: %v, changed %t; want %v", tt.name, got, changed, want)
		}
	}
}

func orZero(t *testing.T, s string) time.Duration {
	if s == "" {
		return 0
	}
	return duration(t, s)
}

func TestBumpStaysInTheYear9999(t *testing.T) {
	t.Parallel()
	now := instant(t, "9999-12-31T23:30:00Z")
	in := schedule.BumpInput{Now: now, Deadline: now.Add(10 * time.Minute), Bump: time.Hour}
	if got, moved := schedule.Bump(in); moved || !got.Equal(in.Deadline) {
		t.Errorf("moved %t to %v", moved, got)
	}
	in.Bump = 20 * time.Minute
	if got, moved := schedule.Bump(in); !moved || !got.Equal(now.Add(in.Bump)) {
		t.Errorf("moved %t to %v", moved, got)
	}
}
