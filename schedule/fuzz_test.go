package schedule_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

// texts are seeds of every parser: good ones, and what trips parsers.
var texts = []string{
	"30 9 * * 1-5", "CRON_TZ=Europe/Berlin 30 9 * * 1-5", "CRON_TZ=", "CRON_TZ=UTC", "TZ=UTC 0 0 * * *", "@daily", "0 0 30 2 *",
	"*/15 0-23/2 * * MON,wed", "60 0 * * *", "0 0 * * 7", "5-1 0 * * *", "? ? * * ?", "", "\x00", "CRON_TZ=Local 0 0 * * *",
	"CRON_TZ=../../etc/passwd 0 0 * * *", "0 24 * * *", "*/0 * * * *", "1,2,3-5/2 * * * *",
	"0 9 * * 1-4; 30 7 * * 5", "CRON_TZ=Asia/Tokyo\n0 9 * * 1-4\nCRON_TZ=Asia/Tokyo */5 * * * fri-mon", ";", "0 9 * * 6-1/2,7;", "CRON_TZ= 0 9 * * *",
}

// checkParsed checks what holds for every schedule that a parser takes, and that a refusal names itself.
func checkParsed(t *testing.T, text string, c *schedule.Cron, err error, again func(string) (*schedule.Cron, error)) {
	t.Helper()
	if err != nil {
		var bad *invalid.Error
		if c != nil || !errors.As(err, &bad) || bad.Field == "" || bad.Rule == "" {
			t.Fatalf("%q: %v, %v: a refusal is an invalid.Error with field and rule, and no schedule", text, c, err)
		}
		return
	}
	second, err := again(c.String())
	if err != nil || second.String() != c.String() {
		t.Fatalf("%q: the canonical text %q is not stable: %v, %v", text, c.String(), second, err)
	}
	written, err := c.MarshalText()
	var read schedule.Cron
	if err != nil || read.UnmarshalText(written) != nil || read.String() != c.String() {
		t.Fatalf("%q: written as %q, read as %v (%v)", text, written, &read, err)
	}
	at := time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC)
	for range 20 {
		next := c.Next(at)
		if next.IsZero() || !next.After(at) {
			t.Fatalf("%q: Next(%v) = %v is not after it", text, at, next)
		}
		if other := second.Next(at); !other.Equal(next) {
			t.Fatalf("%q: Next(%v) = %v, but %v after parsing again", text, at, next, other)
		}
		if !c.Matches(next) {
			t.Fatalf("%q: does not match its own %v", text, next)
		}
		at = next
	}
	_, _, _ = c.Humanize(), c.Min(), c.DaysOfWeek()
}

func FuzzWeekly(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := schedule.Weekly(text)
		checkParsed(t, text, c, err, schedule.Weekly)
		var i schedule.Interner
		if kept := i.Weekly(text); text != "" && (kept.Err() == nil) != (err == nil) {
			t.Fatalf("%q: the interner says %v, the parser %v", text, kept.Err(), err)
		}
	})
}

func FuzzDaily(f *testing.F) {
	for _, text := range append(texts, "30 3 * * *", "CRON_TZ=Asia/Kolkata 5 23 * * *") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := schedule.Daily(text)
		checkParsed(t, text, c, err, schedule.Daily)
	})
}

func FuzzParseDays(f *testing.F) {
	for _, text := range []string{"all", "none", "", "Mon-Fri", "fri-mon", "Tue,Sat,Sun", "Mon-", "-", ",", "monday-SUNDAY,tue"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := schedule.ParseDays(text)
		if err != nil {
			return
		}
		if again, err := schedule.ParseDays(d.String()); err != nil || again != d || d.Validate() != nil {
			t.Fatalf("%q: %v comes back as %v, %v", text, d, again, err)
		}
	})
}

func FuzzParseDates(f *testing.F) {
	for _, text := range []string{
		"", "2026-12-24", "Europe/Berlin 2026-12-24..2026-12-26,2027-01-01", "Pacific/Apia 2011-12-30", "2026-02-30", "2026-12-26..2026-12-24",
		"Local 2026-01-01", "0001-01-01..9999-12-31", "2026-12-24,2026-12-24..2026-12-25", "2026-12-24..",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := schedule.ParseDates(text)
		if err != nil {
			return
		}
		again, err := schedule.ParseDates(d.String())
		if err != nil || again.String() != d.String() {
			t.Fatalf("%q: %q comes back as %q, %v", text, d, again, err)
		}
		at := time.Date(2026, 12, 24, 12, 0, 0, 0, time.UTC)
		if end, held := d.Covering(at); held && !end.After(at) {
			t.Fatalf("%q: covers %v until %v", text, at, end)
		}
	})
}

// FuzzCompat compares compatibility mode with the library it is compatible with, in every zone and at any instant.
func FuzzCompat(f *testing.F) {
	for n, spec := range sweepSpecs {
		f.Add(spec, uint16(n*37), int64(1774746000+n*600)) // around the night of 29 March 2026
	}
	f.Add("0 2 * * 7; 30 * * * fri-mon/2; 15 1-3 * * 6-1", uint16(99), int64(1774746000))
	zones := allZones()
	f.Fuzz(func(t *testing.T, spec string, zone uint16, at int64) {
		name := zones[int(zone)%len(zones)]
		c, err := schedule.WeeklyWith("CRON_TZ="+name+" "+spec, schedule.Options{DST: schedule.DSTCompat})
		if err != nil {
			return
		}
		const year2100 = 4102444800
		checkCompat(t, c, time.Unix((at%year2100+year2100)%year2100, 0))
	})
}

// FuzzAutostop checks the deadlines: never before the completion, the deadline never after its cap, and the same again.
func FuzzAutostop(f *testing.F) {
	f.Add(int64(1774746000), int64(8*time.Hour), uint8(0x1f), uint8(1), "CRON_TZ=Europe/Berlin 30 2 * * *", "CRON_TZ=Europe/Berlin 30 9 * * 1-5")
	f.Fuzz(func(t *testing.T, at, ttl int64, days, weeks uint8, quiet, start string) {
		in := schedule.AutostopInput{CompletedAt: time.Unix(at%(1<<33), 0), TTL: time.Duration(ttl % int64(schedule.MaxTTL)), AutostartDays: schedule.AllDays}
		in.Requirement = schedule.Requirement{Days: schedule.Days(days & 0x7f), Weeks: int(weeks % 17)}
		in.QuietHours, _ = schedule.Daily(quiet)
		in.Autostart, _ = schedule.Weekly(start)
		d, err := schedule.Autostop(in)
		if err != nil {
			return
		}
		if !d.Deadline.IsZero() && d.Deadline.Before(in.CompletedAt) || !d.MaxDeadline.IsZero() && d.MaxDeadline.Before(in.CompletedAt) {
			t.Fatalf("%+v: %+v is before the completion", in, d)
		}
		if !d.MaxDeadline.IsZero() && (d.Deadline.IsZero() || d.Deadline.After(d.MaxDeadline)) {
			t.Fatalf("%+v: the deadline %v is after its cap %v", in, d.Deadline, d.MaxDeadline)
		}
		if again, err := schedule.Autostop(in); err != nil || again != d {
			t.Fatalf("%+v: %+v, then %+v", in, d, again)
		}
	})
}
