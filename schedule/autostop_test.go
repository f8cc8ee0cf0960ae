package schedule_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

type autostopCase struct {
	name      string
	completed string
	ttl       string
	autostart string
	allowed   schedule.Days
	days      schedule.Days
	weeks     int
	quiet     string
	// "" is none
	deadline, max string
}

func (tt autostopCase) input(t *testing.T) schedule.AutostopInput {
	t.Helper()
	in := schedule.AutostopInput{
		CompletedAt:   instant(t, tt.completed),
		AutostartDays: tt.allowed,
		Requirement:   schedule.Requirement{Days: tt.days, Weeks: tt.weeks},
	}
	if tt.ttl != "" {
		in.TTL = duration(t, tt.ttl)
	}
	if tt.autostart != "" {
		in.Autostart = weekly(t, tt.autostart)
	}
	if tt.quiet != "" {
		in.QuietHours = daily(t, tt.quiet)
	}
	return in
}

func TestAutostop(t *testing.T) {
	t.Parallel()
	const all = schedule.AllDays
	saturday, monday := schedule.DaysOf(time.Saturday), schedule.DaysOf(time.Monday)
	// 2026-01-05 is a Monday, in an even week since 2023-01-02.
	tests := []autostopCase{
		{name: "nothing", completed: "2026-01-05T09:00:00Z"},
		{name: "ttl", completed: "2026-01-05T09:00:00Z", ttl: "8h", deadline: "2026-01-05T17:00:00Z"},
		{name: "autostart after the deadline", completed: "2026-01-05T09:00:00Z", ttl: "8h", autostart: "30 17 * * *", allowed: all, deadline: "2026-01-05T17:00:00Z"},
		{name: "autostart at the deadline", completed: "2026-01-05T09:00:00Z", ttl: "8h", autostart: "0 17 * * *", allowed: all, deadline: "2026-01-05T17:00:00Z"},
		{name: "autostart before the deadline", completed: "2026-01-05T09:00:00Z", ttl: "8h", autostart: "59 16 * * *", allowed: all, deadline: "2026-01-06T00:59:00Z"},
		{name: "autostart on a forbidden day", completed: "2026-01-05T09:00:00Z", ttl: "8h", autostart: "59 16 * * *", allowed: saturday, deadline: "2026-01-05T17:00:00Z"},
		{name: "only the first autostart", completed: "2026-01-05T09:00:00Z", ttl: "8h", autostart: "0 11,16 * * *", allowed: all, deadline: "2026-01-05T19:00:00Z"},
		{name: "an autostart without ttl", completed: "2026-01-05T09:00:00Z", autostart: "0 11 * * *", allowed: all},

		{name: "requirement without quiet hours", completed: "2026-01-05T09:00:00Z", days: all},
		{name: "quiet hours without requirement", completed: "2026-01-05T09:00:00Z", quiet: "0 0 * * *"},
		{name: "max is the deadline without ttl", completed: "2026-01-05T09:00:00Z", days: all, quiet: "0 0 * * *", deadline: "2026-01-06T00:00:00Z", max: "2026-01-06T00:00:00Z"},
		{name: "max caps the deadline", completed: "2026-01-05T09:00:00Z", ttl: "24h", days: all, quiet: "0 0 * * *", deadline: "2026-01-06T00:00:00Z", max: "2026-01-06T00:00:00Z"},
		{name: "max after the deadline", completed: "2026-01-05T09:00:00Z", ttl: "8h", days: saturday, quiet: "0 0 * * *", deadline: "2026-01-05T17:00:00Z", max: "2026-01-10T00:00:00Z"},
		{name: "exactly two hours before", completed: "2026-01-05T20:00:00Z", days: all, quiet: "0 22 * * *", deadline: "2026-01-05T22:00:00Z", max: "2026-01-05T22:00:00Z"},
		{name: "less than two hours before", completed: "2026-01-05T20:00:00.000000001Z", days: all, quiet: "0 22 * * *", deadline: "2026-01-06T22:00:00Z", max: "2026-01-06T22:00:00Z"},
		{name: "two hours before midnight", completed: "2026-01-05T22:00:00Z", days: all, quiet: "0 0 * * *", deadline: "2026-01-06T00:00:00Z", max: "2026-01-06T00:00:00Z"},
		{name: "less before midnight", completed: "2026-01-05T22:00:01Z", days: all, quiet: "0 0 * * *", deadline: "2026-01-07T00:00:00Z", max: "2026-01-07T00:00:00Z"},
		{name: "the required day is today and over", completed: "2026-01-10T02:00:00Z", days: saturday, quiet: "0 1 * * *", deadline: "2026-01-17T01:00:00Z", max: "2026-01-17T01:00:00Z"},
		{name: "the owner's zone names the day", completed: "2026-01-09T03:00:00Z", days: saturday, quiet: "CRON_TZ=Asia/Tokyo 0 3 * * *", deadline: "2026-01-09T18:00:00Z", max: "2026-01-09T18:00:00Z"},

		// In the last quarter of an hour of the day: that day, not the evening before.
		{name: "23:46 on the day", completed: "2026-01-05T09:00:00Z", days: saturday, quiet: "46 23 * * *", deadline: "2026-01-10T23:46:00Z", max: "2026-01-10T23:46:00Z"},
		{name: "23:59 on the day", completed: "2026-01-05T09:00:00Z", days: saturday, quiet: "CRON_TZ=America/New_York 59 23 * * *", deadline: "2026-01-11T04:59:00Z", max: "2026-01-11T04:59:00Z"},
		{name: "23:59 today", completed: "2026-01-10T21:59:00Z", days: saturday, quiet: "59 23 * * *", deadline: "2026-01-10T23:59:00Z", max: "2026-01-10T23:59:00Z"},
		{name: "23:59 today, too late", completed: "2026-01-10T21:59:01Z", days: saturday, quiet: "59 23 * * *", deadline: "2026-01-17T23:59:00Z", max: "2026-01-17T23:59:00Z"},

		{name: "every week", completed: "2026-01-13T09:00:00Z", days: saturday, weeks: 1, quiet: "0 0 * * *", deadline: "2026-01-17T00:00:00Z", max: "2026-01-17T00:00:00Z"},
		{name: "second week, in one", completed: "2026-01-06T09:00:00Z", days: saturday, weeks: 2, quiet: "0 0 * * *", deadline: "2026-01-17T00:00:00Z", max: "2026-01-17T00:00:00Z"},
		{name: "second week, between", completed: "2026-01-13T09:00:00Z", days: saturday, weeks: 2, quiet: "0 0 * * *", deadline: "2026-01-17T00:00:00Z", max: "2026-01-17T00:00:00Z"},
		{name: "sixteenth week", completed: "2023-01-09T09:00:00Z", days: monday, weeks: 16, quiet: "0 0 * * *", deadline: "2023-04-24T00:00:00Z", max: "2023-04-24T00:00:00Z"},
		{name: "the first week", completed: "2023-01-02T00:00:00Z", days: saturday, weeks: 4, quiet: "0 3 * * *", deadline: "2023-01-07T03:00:00Z", max: "2023-01-07T03:00:00Z"},
		{name: "a Monday reached by the leeway", completed: "2023-01-29T22:30:00Z", days: monday, weeks: 4, quiet: "0 6 * * *", deadline: "2023-01-30T06:00:00Z", max: "2023-01-30T06:00:00Z"},

		// Sunday in an allowed week, but its quiet time is over: the week of the next day is not one.
		{name: "second week, the day after is in another", completed: "2026-01-04T12:00:00Z", days: saturday, weeks: 2, quiet: "0 2 * * *", deadline: "2026-01-17T02:00:00Z", max: "2026-01-17T02:00:00Z"},
		{name: "second week, its day is over", completed: "2026-01-10T12:00:00Z", days: saturday, weeks: 2, quiet: "0 2 * * *", deadline: "2026-01-17T02:00:00Z", max: "2026-01-17T02:00:00Z"},
		{name: "second week, its day was the day before", completed: "2026-01-03T12:00:00Z", days: saturday, weeks: 2, quiet: "0 2 * * *", deadline: "2026-01-17T02:00:00Z", max: "2026-01-17T02:00:00Z"},
		{name: "second week, its day is Monday and over", completed: "2026-01-12T12:00:00Z", days: monday, weeks: 2, quiet: "0 2 * * *", deadline: "2026-01-26T02:00:00Z", max: "2026-01-26T02:00:00Z"},

		{name: "no midnight on the day", completed: "2018-11-01T12:00:00Z", days: schedule.DaysOf(time.Sunday), quiet: "CRON_TZ=America/Sao_Paulo 0 0 * * *", deadline: "2018-11-04T03:00:00Z", max: "2018-11-04T03:00:00Z"},
		{name: "quiet hours in a gap", completed: "2026-03-26T12:00:00Z", days: schedule.DaysOf(time.Sunday), quiet: "CRON_TZ=Europe/Berlin 30 2 * * *", deadline: "2026-03-29T01:00:00Z", max: "2026-03-29T01:00:00Z"},
		{name: "quiet hours twice", completed: "2026-10-22T12:00:00Z", days: schedule.DaysOf(time.Sunday), quiet: "CRON_TZ=Europe/Berlin 30 2 * * *", deadline: "2026-10-25T00:30:00Z", max: "2026-10-25T00:30:00Z"},
		{name: "the day before's time moved past midnight", completed: "1919-03-28T12:00:00Z", days: monday, quiet: "CRON_TZ=America/Toronto 45 23 * * *", deadline: "1919-04-01T03:45:00Z", max: "1919-04-01T03:45:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := schedule.Autostop(tt.input(t))
			if err != nil {
				t.Fatal(err)
			}
			checkInstant(t, "deadline", got.Deadline, tt.deadline)
			checkInstant(t, "max deadline", got.MaxDeadline, tt.max)
		})
	}
}

func checkInstant(t *testing.T, what string, got time.Time, want string) {
	t.Helper()
	var at time.Time
	if want != "" {
		at = instant(t, want)
	}
	if got != at {
		t.Errorf("%s %v, want %s in UTC", what, got, want)
	}
}

func TestAutostopRefusesBadInput(t *testing.T) {
	t.Parallel()
	var interner schedule.Interner
	good := schedule.AutostopInput{
		CompletedAt: instant(t, "2026-01-05T09:00:00Z"),
		TTL:         time.Hour,
		Requirement: schedule.Requirement{Days: schedule.AllDays, Weeks: 1},
		QuietHours:  daily(t, "0 0 * * *"),
	}
	tests := map[string]func(*schedule.AutostopInput){
		"CompletedAt 0001":         func(in *schedule.AutostopInput) { in.CompletedAt = time.Time{} },
		"years 1 to 9999":          func(in *schedule.AutostopInput) { in.CompletedAt = time.Unix(1<<45, 0) },
		"deadlines until the year": func(in *schedule.AutostopInput) { in.CompletedAt = instant(t, "9999-12-31T23:59:00Z") },
		"deadlines until the yea": func(in *schedule.AutostopInput) {
			in.Requirement.Days, in.TTL = 0, schedule.MaxThreshold
			in.CompletedAt = instant(t, "9970-12-31T23:59:00Z")
		},
		"TTL -1m":                  func(in *schedule.AutostopInput) { in.TTL = -time.Minute },
		"AutostartDays":            func(in *schedule.AutostopInput) { in.AutostartDays = 0xff },
		"Requirement.Days":         func(in *schedule.AutostopInput) { in.Requirement.Days = 0x80 },
		"Requirement.Weeks 17":     func(in *schedule.AutostopInput) { in.Requirement.Weeks = 17 },
		"Requirement.Weeks -1":     func(in *schedule.AutostopInput) { in.Requirement.Weeks = -1 },
		"QuietHours \"0 0 * * 1\"": func(in *schedule.AutostopInput) { in.QuietHours = interner.Daily("0 0 * * 1") },
		"a schedule that fires":    func(in *schedule.AutostopInput) { in.QuietHours = &schedule.Cron{} },
		"2023-01-02": func(in *schedule.AutostopInput) {
			in.CompletedAt, in.Requirement.Weeks = instant(t, "2022-12-31T00:00:00Z"), 2
		},
	}
	if _, err := schedule.Autostop(good); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range tests {
		in := good
		spoil(&in)
		got, err := schedule.Autostop(in)
		if err == nil || !strings.Contains(err.Error(), want) || got != (schedule.Deadlines{}) {
			t.Errorf("%v, %v; want an error about %q", got, err, want)
		}
	}
	in := good
	in.Requirement.Days, in.Autostart, in.AutostartDays = 0, interner.Weekly("nonsense"), schedule.AllDays
	if got, err := schedule.Autostop(in); err != nil || !got.Deadline.Equal(in.CompletedAt.Add(time.Hour)) {
		t.Errorf("an unusable autostart is not ignored: %v, %v", got, err)
	}
}

func TestRequirementValidate(t *testing.T) {
	t.Parallel()
	for _, r := range []schedule.Requirement{{}, {Days: schedule.AllDays}, {Days: 1, Weeks: 16}} {
		if err := r.Validate(); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for _, r := range []schedule.Requirement{{Days: 0x80}, {Weeks: 17}, {Weeks: -1}} {
		var input *invalid.Error
		if err := r.Validate(); !errors.As(err, &input) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// stepsOf computes a max deadline step by step with calendar arithmetic of
// package time, as the rule was first written down (except that its week is looked
// for again whenever the day moves): by searching the quiet time from a quarter of an hour before midnight. It holds for quiet times before 23:46 in zones that keep
// their midnights.
func stepsOf(completed time.Time, days schedule.Days, weeks int, quiet *schedule.Cron) time.Time {
	midnight := func(t time.Time, days int) time.Time {
		y, m, d := t.Date()
		return time.Date(y, m, d+days, 0, 0, 0, 0, t.Location())
	}
	const buffer = 15 * time.Minute
	c := completed.In(quiet.Location())
	inWeek := func(day time.Time) time.Time {
		if weeks <= 1 {
			return day
		}
		epoch := time.Date(2023, 1, 2, 0, 0, 0, 0, quiet.Location())
		n := 0
		for midnight(epoch, 7*(n+1)).Compare(day) <= 0 {
			n++
		}
		if over := n % weeks; over != 0 {
			return midnight(epoch, 7*(n+weeks-over))
		}
		return day
	}
	day := inWeek(midnight(c.Add(2*time.Hour), 0))
	if quiet.Next(day.Add(-buffer)).Before(c.Add(2 * time.Hour)) {
		day = inWeek(midnight(day, 1))
	}
	for !days.Has(day.Weekday()) {
		day = inWeek(midnight(day, 1))
	}
	from := day.Add(-buffer)
	if day.Before(c.Add(time.Hour)) {
		from = c.Add(time.Hour)
	}
	return quiet.Next(from)
}

// Every n-th week stops in such weeks only, on a required day, not less than two hours after the start, and at the
// first such time: for starts all over four years.
func TestAutostopStopsInRequiredWeeksOnly(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(13, 14))
	from, to := instant(t, "2023-01-05T00:00:00Z"), instant(t, "2027-01-05T00:00:00Z")
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland", "Asia/Kolkata", "Pacific/Kiritimati"} {
		for at := from; at.Before(to); at = at.Add(3*time.Hour + time.Duration(rnd.Int64N(int64(2*time.Hour)))) {
			quiet := daily(t, fmt.Sprintf("CRON_TZ=%s %d %d * * *", zone, rnd.IntN(60), rnd.IntN(24)))
			r := schedule.Requirement{Days: schedule.Days(1 + rnd.IntN(127)), Weeks: rnd.IntN(17)}
			got, err := schedule.Autostop(schedule.AutostopInput{CompletedAt: at, Requirement: r, QuietHours: quiet})
			if err != nil {
				t.Fatal(err)
			}
			required := func(fire time.Time) bool {
				y, m, d := fire.Date()
				days := int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Sub(time.Date(2023, 1, 2, 0, 0, 0, 0, time.UTC)).Hours()) / 24
				return r.Days.Has(fire.Weekday()) && days/7%max(1, r.Weeks) == 0
			}
			want := quiet.Next(at.Add(2*time.Hour - 1))
			for !required(want) {
				want = quiet.Next(want)
			}
			if !got.MaxDeadline.Equal(want) {
				t.Fatalf("completed %v, required %+v, quiet %v: %v, want %v", at.In(quiet.Location()), r, quiet, got.MaxDeadline, want)
			}
		}
	}
}

func TestAutostopFollowsTheSteps(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(11, 12))
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Kolkata", "Pacific/Auckland"}
	from, to := instant(t, "2023-01-05T00:00:00Z").Unix(), instant(t, "2031-01-01T00:00:00Z").Unix()
	for range 5000 {
		at := rnd.IntN(23*60 + 46)
		spec := "CRON_TZ=" + zones[rnd.IntN(len(zones))] + " " + time.Date(2000, 1, 1, 0, at, 0, 0, time.UTC).Format("4 15 * * *")
		quiet, err := schedule.DailyWith(spec, schedule.Options{DST: schedule.DST(rnd.IntN(2))})
		if err != nil {
			t.Fatal(err)
		}
		in := schedule.AutostopInput{
			CompletedAt: time.Unix(from+rnd.Int64N(to-from), 0),
			Requirement: schedule.Requirement{Days: schedule.Days(1 + rnd.IntN(127)), Weeks: rnd.IntN(17)},
			QuietHours:  quiet,
		}
		got, err := schedule.Autostop(in)
		want := stepsOf(in.CompletedAt, in.Requirement.Days, in.Requirement.Weeks, quiet)
		if err != nil || !got.MaxDeadline.Equal(want) || got.Deadline != got.MaxDeadline {
			t.Fatalf("completed %v, required %+v, quiet %v: %v, %v, want %v",
				in.CompletedAt.In(quiet.Location()), in.Requirement, quiet, got, err, want)
		}
		if again, _ := schedule.Autostop(in); again != got {
			t.Fatalf("the second time: %v instead of %v", again, got)
		}
	}
}
