package schedule_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

var weekdays = schedule.DaysOf(time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday)

func TestNextAutostart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, spec, at, want string
		days                 schedule.Days
		allowed              bool
	}{
		{"allowed", "30 9 * * *", "2026-01-02T00:00:00Z", "2026-01-02T09:30:00Z", weekdays, true},
		{"the first one counts, allowed or not", "30 9 * * *", "2026-01-02T10:00:00Z", "2026-01-03T09:30:00Z", weekdays, false},
		{"the schedule's own weekday", "CRON_TZ=America/New_York 0 23 * * *", "2026-01-03T00:00:00Z", "2026-01-03T04:00:00Z", weekdays, true},
		{"no day is allowed", "30 9 * * *", "2026-01-02T00:00:00Z", "2026-01-02T09:30:00Z", 0, false},
	}
	for _, tt := range tests {
		next, allowed, err := schedule.NextAutostart(instant(t, tt.at), tt.spec, tt.days)
		if err != nil || allowed != tt.allowed || !next.Equal(instant(t, tt.want)) {
			t.Errorf("%s: %v, %v, %v; want %s, %v", tt.name, next, allowed, err, tt.want, tt.allowed)
		}
	}
}

func TestNextAllowedAutostart(t *testing.T) {
	t.Parallel()
	monday, sunday := schedule.DaysOf(time.Monday), schedule.DaysOf(time.Sunday)
	tests := []struct {
		name, spec, at, want string // want "" is no allowed autostart
		days                 schedule.Days
	}{
		{"today", "30 9 * * *", "2026-01-02T00:00:00Z", "2026-01-02T09:30:00Z", weekdays},
		{"over the weekend", "30 9 * * *", "2026-01-02T09:30:00Z", "2026-01-05T09:30:00Z", weekdays},
		{"every minute", "* * * * *", "2026-01-02T23:59:30Z", "2026-01-05T00:00:00Z", weekdays},
		{"every minute, one day a week", "* * * * *", "2026-01-05T00:00:00Z", "2026-01-05T00:01:00Z", monday},
		{"the end of the day is on the day", "59 23 * * *", "2026-01-05T00:00:00Z", "2026-01-11T23:59:00Z", sunday},
		{"never on these days", "30 9 * * 0,6", "2026-01-02T00:00:00Z", "", weekdays},
		{"no day", "30 9 * * *", "2026-01-02T00:00:00Z", "", 0},
		// The last fire refused is less than seven days away, so the next counts, beyond them.
		{"beyond seven days", "0 9 * * 1,2", "2026-01-06T09:00:00Z", "2026-01-13T09:00:00Z", schedule.DaysOf(time.Tuesday)},
		{"exactly seven days", "0 9 * * 1", "2026-01-05T09:00:00Z", "2026-01-12T09:00:00Z", monday},
		{"across the clock change", "CRON_TZ=Europe/Berlin * * * * *", "2026-03-28T22:59:00Z", "2026-03-29T22:00:00Z", monday},
	}
	for _, tt := range tests {
		got, err := schedule.NextAllowedAutostart(instant(t, tt.at), tt.spec, tt.days)
		switch {
		case tt.want == "" && !errors.Is(err, schedule.ErrNoAllowedAutostart):
			t.Errorf("%s: %v, %v; want ErrNoAllowedAutostart", tt.name, got, err)
		case tt.want != "" && (err != nil || !got.Equal(instant(t, tt.want))):
			t.Errorf("%s: %v, %v; want %s", tt.name, got, err, tt.want)
		}
	}
}

func TestAutostartRefusesBadInput(t *testing.T) {
	t.Parallel()
	at := instant(t, "2026-01-02T00:00:00Z")
	for spec, days := range map[string]schedule.Days{"nonsense": weekdays, "": weekdays, "0 9 * * *": 0x80} {
		var input *invalid.Error
		if _, _, err := schedule.NextAutostart(at, spec, days); !errors.As(err, &input) {
			t.Errorf("NextAutostart(%q, %v): %v", spec, days, err)
		}
		if _, err := schedule.NextAllowedAutostart(at, spec, days); !errors.As(err, &input) {
			t.Errorf("NextAllowedAutostart(%q, %v): %v", spec, days, err)
		}
	}
}

// The rule word for word, fire by fire, against the search that leaves out days.
func TestNextAllowedTriesEveryFire(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(9, 10))
	zones := []string{"UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "America/Havana", "Africa/Cairo"}
	from, to := instant(t, "2009-01-01T00:00:00Z").Unix(), instant(t, "2020-01-01T00:00:00Z").Unix()
	for range 3000 {
		c := weeklyWith(t, "CRON_TZ="+zones[rnd.IntN(len(zones))]+" "+sweepSpecs[rnd.IntN(len(sweepSpecs))],
			schedule.Options{DST: schedule.DST(rnd.IntN(2))})
		at, days := time.Unix(from+rnd.Int64N(to-from), rnd.Int64N(1e9)), schedule.Days(rnd.IntN(128))
		var want time.Time
		for next := at; next.Sub(at) < 7*24*time.Hour; {
			if next = c.Next(next); days.Has(next.Weekday()) {
				want = next
				break
			}
		}
		if got, ok := c.NextAllowed(at, days); ok == want.IsZero() || !got.Equal(want) {
			t.Fatalf("%v after %v on %v: %v, want %v", c, at, days, got, want)
		}
	}
}
