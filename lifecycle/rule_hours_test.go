package lifecycle_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// clockZones are zones whose clocks change, each in a way of its own.
var clockZones = []string{
	"Europe/Berlin", "Europe/Dublin", "Europe/Lisbon", "Europe/Chisinau", "Europe/Istanbul", "America/New_York", "America/St_Johns",
	"America/Havana", "America/Asuncion", "America/Santiago", "America/Scoresbysund", "America/Nuuk", "America/Sao_Paulo", "Atlantic/Azores",
	"Africa/Casablanca", "Africa/Cairo", "Asia/Beirut", "Asia/Gaza", "Asia/Jerusalem", "Asia/Tehran", "Asia/Amman", "Asia/Pyongyang",
	"Australia/Sydney", "Australia/Lord_Howe", "Australia/Adelaide", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Apia",
	"Pacific/Norfolk", "Pacific/Easter", "Antarctica/Troll", "UTC",
}

// changesOf are the instants at which a zone's clock changes within some years.
func changesOf(t *testing.T, zone string, from, to time.Time) (all []time.Time) {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Skip(err)
	}
	for at := from.In(loc); at.Before(to); {
		_, end := at.ZoneBounds()
		if end.IsZero() {
			break
		}
		all = append(all, end)
		at = end
	}
	return all
}

// Working hours around every change of a clock: a start happens where the hours cover something, runs exactly as long as they
// do, and never is its stop due at once.
func TestHoursAtEveryChangeOfTheClock(t *testing.T) {
	t.Parallel()
	r := seeded(11)
	skipped, shifted := 0, 0
	for _, zone := range clockZones {
		for _, change := range changesOf(t, zone, time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)) {
			for range 4 {
				h := hoursAround(t, r, zone, change)
				s := stopped(workspace(func(w *lifecycle.Workspace) { w.Autostart, w.Autostop = h.Autostart(), h.Autostop() }))
				rest := change.Add(-30 * time.Hour).UTC().Truncate(us)
				s.Build.CreatedAt, s.Build.CompletedAt = rest, rest
				for fire := range h.Autostart().Occurrences(rest.Add(us), change.Add(30*time.Hour)) {
					starts := words(lifecycle.Decide(s, fire)) == "autostart: start"
					if starts != h.Covers(fire) {
						t.Fatalf("%v: at %v starts %t, covered %t", h, fire, starts, h.Covers(fire))
					}
					if !starts {
						skipped++
						continue
					}
					if wake := lifecycle.NextWake(s, rest); !wake.Equal(fire) {
						t.Fatalf("%v: wakes at %v, starts at %v", h, wake, fire)
					}
					s = finish(t, after(t, s, fire), fire.UTC(), lifecycle.JobSucceeded)
					end := s.Build.Deadline
					again := h.Autostart().Next(end.Add(-1)).Equal(end) // where the clock leaves nothing between two days
					if !end.After(fire) || h.Covers(end) && !again || !h.Covers(end.Add(-time.Second)) || end.Sub(fire) > 26*time.Hour {
						t.Fatalf("%v: from %v it runs until %v", h, fire, end.In(fire.Location()))
					}
					if fire.Hour()*60+fire.Minute() != fire.Add(24*time.Hour).Hour()*60+fire.Minute() {
						shifted++
					}
					rest = end
					s = finish(t, after(t, s, end), end, lifecycle.JobSucceeded)
				}
			}
		}
	}
	if skipped < 20 || shifted < 20 {
		t.Errorf("%d starts had nothing to cover, and %d were moved: the check says little", skipped, shifted)
	}
}

// hoursAround are hours every day of which one end or the other lies near a change of the clock.
func hoursAround(t *testing.T, r random, zone string, change time.Time) schedule.Hours {
	t.Helper()
	local := change.Add(-time.Second)
	near := local.Hour()*60 + local.Minute() + r.IntN(150) - 45
	begin := ((near % 1440) + 1440) % 1440
	end := (begin + pick(r, 15, 30, 45, 60, 90, 480, 1380)) % 1440
	h, err := schedule.ParseHours(fmt.Sprintf("%s Mon-Sun %02d:%02d-%02d:%02d", zone, begin/60, begin%60, end/60, end%60), schedule.Options{})
	must(err)
	return h
}

// A start that comes after the stop of its schedule is over, however late starts may be: nobody wants a fleet to start at the end
// of an outage and to run until the evening after. The next one stands.
func TestAStartAfterItsHoursIsOver(t *testing.T) {
	s := stopped(autostart("0 9 * * *"), workspace(func(w *lifecycle.Workspace) { w.Autostop = weekly("0 18 * * *") }))
	tuesday := monday.Add(day)
	expect(t, s, tuesday.Add(9*time.Hour-us), "autostart: start")
	for _, now := range []time.Time{tuesday.Add(9 * time.Hour), tuesday.Add(9*time.Hour + 30*time.Second), tuesday.Add(20 * time.Hour)} {
		expect(t, s, now, "autostart: missed")
		next := after(t, s, now)
		if wake := tuesday.Add(day); !next.Workspace.WakeAt.Equal(wake) {
			t.Errorf("at %v given up, it wakes at %v, want %v", now, next.Workspace.WakeAt, wake)
		}
	}
	// Two days later the morning of that day is not over.
	expect(t, after(t, s, tuesday.Add(day)), tuesday.Add(day), "autostart: start")
	// A schedule that stops and starts at one time restarts.
	again := stopped(autostart("0 9 * * *"), workspace(func(w *lifecycle.Workspace) { w.Autostop = weekly("0 9 * * *") }))
	expect(t, again, tuesday, "autostart: start")
	expect(t, again, tuesday.Add(23*time.Hour), "autostart: start")
}

// Where an automatic stop says that it was due after it was made, starts count from when it was made.
func TestAStopThatWasDueLaterLosesNoStart(t *testing.T) {
	s := stopped(autostart("0 9 * * *"), build(func(b *lifecycle.Build) { b.Reason, b.DueAt = lifecycle.ReasonAutostop, monday.Add(2*day) }))
	ruleCase{s: s, want: "autostart: start", at: monday.Add(day)}.check(t)
}

// A start that failed is not tried again after the stop of its schedule.
func TestARetryAfterItsHoursIsOver(t *testing.T) {
	retry := policy(func(p *lifecycle.Policy) { p.StartRetry = lifecycle.StartRetry{Max: 9, Initial: 10 * time.Minute} })
	s := stopped(autostart("0 9 * * *"), retry, workspace(func(w *lifecycle.Workspace) { w.Autostop = weekly("40 9 * * *") }))
	now := monday.Add(day)
	tries := 0
	for range 6 {
		if now = lifecycle.NextWake(s, now); now.After(monday.Add(day + 40*time.Minute)) {
			break
		}
		s = finish(t, after(t, s, now), now, lifecycle.JobFailed)
		tries++
	}
	if tries != 3 || !now.Equal(monday.Add(2*day)) {
		t.Errorf("%d tries, then the next at %v\n%v", tries, now, lifecycle.Explain(s, monday.Add(day+30*time.Minute)))
	}
}
