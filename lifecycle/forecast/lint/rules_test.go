package lint_test

import (
	"slices"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/kit"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/lint"
	"github.com/dormouse-go/dormouse/schedule"
)

// The rules of runs, of deletions and of retries.
func newerBadSettings(add func(want string, rows ...setting)) {
	add("never_fires Policy.AutostartDays",
		setting{name: "no day allowed, and dormant", edit: both(days("none"), func(s *lifecycle.Snapshot) { s.Workspace.DormantAt = monday })},
		setting{name: "no day allowed, and a person has to look", edit: both(days("none"), func(s *lifecycle.Snapshot) { s.Workspace.AttentionAt = monday })},
		setting{name: "no day allowed, and it runs", edit: both(days("none"), func(s *lifecycle.Snapshot) {
			s.Build.Transition, s.Build.Deadline = lifecycle.TransitionStart, monday.Add(time.Hour)
		})},
		setting{name: "no day allowed, and all is held", edit: both(days("none"), func(s *lifecycle.Snapshot) {
			s.Workspace.Hold.Until, s.Template.Hold.Until, s.Engine.Hold.Until = monday.Add(900*day), monday.Add(900*day), monday.Add(900*day)
		})},
	)
	add("never_fires Workspace.Autostop",
		setting{name: "a stop that is a word", edit: stops("at six")},
		setting{name: "a stop on Mars", edit: stops("CRON_TZ=Mars/Olympus 0 18 * * *")},
	)
	add("clock_gap Workspace.Autostop",
		setting{name: "a stop that compat leaves out", edit: both(ttl(0), compatStops("CRON_TZ=Europe/Berlin 30 2 * * *"))},
	)
	add("clock_gap Workspace.Autostart",
		setting{name: "the second of two lines", edit: autostart("CRON_TZ=Europe/Berlin 0 9 * * 1-5; 30 2 * * 0")},
		setting{name: "beside a line of every hour", edit: both(ttl(20*time.Minute), lead(0), autostart("CRON_TZ=Europe/Berlin 0 * * * 1-5; 15 2 * * 0"))},
	)
	add("clock_repeat Workspace.Autostart",
		setting{name: "the second line in compat", edit: compat("CRON_TZ=America/New_York 0 9 * * 1-5; 30 1 * * 0")},
	)
	add("forbidden_days Workspace.Autostart",
		setting{name: "a line for the weekend", edit: both(autostart("CRON_TZ=Europe/Berlin 0 9 * * 1-5; 0 11 * * 6"), days("Mon-Fri"))},
	)
	add("stops_after_start Workspace.Autostop",
		setting{name: "five minutes of work", edit: both(ttl(0), stops("CRON_TZ=Europe/Berlin 5 9 * * 1-5"))},
		setting{name: "one of two lines", edit: both(ttl(0), autostart("CRON_TZ=Europe/Berlin 0 9 * * 1-4; 0 12 * * 5"), stops("CRON_TZ=Europe/Berlin 0 18 * * 1-4; 10 12 * * 5"))},
	)
	add("stops_after_start Policy.MaxRuntime",
		setting{name: "ten minutes at most", edit: both(ttl(0), lead(0), maxRuntime(10*time.Minute))},
	)
	add("shorter_than_build Policy.MaxRuntime",
		setting{name: "a cap below the build", edit: both(ttl(0), maxRuntime(20*time.Minute), lead(0)), config: takes(30 * time.Minute)},
	)
	add("stops_early Workspace.TTL",
		setting{name: "four hours of nine", edit: both(ttl(4*time.Hour), stops("CRON_TZ=Europe/Berlin 0 18 * * 1-5"))},
		setting{name: "on the long day only", edit: both(ttl(8*time.Hour), autostart("CRON_TZ=Europe/Berlin 0 9 * * 1-4; 0 8 * * 5"), stops("CRON_TZ=Europe/Berlin 0 17 * * 1-4; 0 18 * * 5"))},
	)
	add("stops_early Policy.DefaultTTL",
		setting{name: "the template's TTL within the hours", edit: both(stops("CRON_TZ=Europe/Berlin 0 18 * * 1-5"), policy(func(p *lifecycle.Policy) { p.DefaultTTL, p.AllowUserTTL = 2*time.Hour, false }))},
	)
	add("stops_early Policy.MaxRuntime",
		setting{name: "a cap within the hours", edit: both(ttl(0), stops("CRON_TZ=Europe/Berlin 0 18 * * 1-5"), maxRuntime(6*time.Hour))},
	)
	add("stops_early Owner.QuietHours",
		setting{name: "quiet at lunch", edit: both(ttl(0), stops("CRON_TZ=Europe/Berlin 0 18 * * 1-5"), require("all", 0, "CRON_TZ=Europe/Berlin 0 13 * * *"))},
	)
	add("never_fires Workspace.TTL",
		setting{name: "a cap below the TTL", edit: maxRuntime(2 * time.Hour)},
	)
	add("never_fires Policy.DefaultTTL",
		setting{name: "a cap below the template's TTL", edit: both(maxRuntime(2*time.Hour), policy(func(p *lifecycle.Policy) { p.DefaultTTL, p.AllowUserTTL = 3*time.Hour, false }))},
	)
	add("never_fires Policy.MinExtend",
		setting{name: "no room to extend", edit: both(ttl(2*time.Hour), maxRuntime(4*time.Hour), policy(func(p *lifecycle.Policy) { p.MinExtend = 5 * time.Hour }))},
	)
	add("reminds_at_once Policy.ReminderLead",
		setting{name: "a reminder as long as the run", edit: both(ttl(time.Hour), lead(time.Hour))},
		setting{name: "a reminder of a day", edit: lead(day)},
	)
	add("never_fires Policy.HolidaysHold",
		setting{name: "holidays that are none", edit: policy(func(p *lifecycle.Policy) { p.HolidaysHold = lifecycle.HoldAll })},
	)
	add("deletes_untold Policy.DeleteStopped",
		setting{name: "deleted an hour after its stop", edit: both(byHand, deleteStopped(time.Hour))},
		setting{name: "deleted in the night", edit: both(byHand, deleteStopped(12*time.Hour))},
	)
	add("deletes_untold Policy.DeleteAtDeadline",
		setting{name: "thrown away without a word", edit: both(byHand, atDeadline, lead(0))},
	)
	add("never_fires Policy.DeleteAtDeadline",
		setting{name: "thrown away never", edit: both(byHand, atDeadline, ttl(0))},
	)
	add("deletes_before_start Policy.DeleteStopped",
		setting{name: "deleted over the weekend", edit: deleteStopped(2 * day)},
		setting{name: "deleted between two Mondays", edit: both(autostart("CRON_TZ=Europe/Berlin 0 9 * * 1"), deleteStopped(5*day))},
	)
	add("deletes_before_start Policy.DeleteAtDeadline",
		setting{name: "thrown away, with a schedule", edit: atDeadline},
	)
	add("dormant_before_start Policy.TimeTilDormant",
		setting{name: "asleep over the weekend", edit: thresholds(2*day, 30*day)},
		setting{name: "asleep over night", edit: thresholds(12*time.Hour, 0)},
	)
	add("never_fires Policy.StartRetry.Initial",
		setting{name: "tried again too late", edit: both(autostart("0 9 * * *"), startRetry(3, 25*time.Hour, 48*time.Hour))},
	)
}

func stops(spec string) edit {
	return func(s *lifecycle.Snapshot) { s.Workspace.Autostop = kit.Interner.Weekly(spec) }
}

func compatStops(spec string) edit {
	return func(s *lifecycle.Snapshot) {
		s.Workspace.Autostop = must(schedule.WeeklyWith(spec, schedule.Options{DST: schedule.DSTCompat}))
	}
}

func lead(d time.Duration) edit { return policy(func(p *lifecycle.Policy) { p.ReminderLead = d }) }

func maxRuntime(d time.Duration) edit { return policy(func(p *lifecycle.Policy) { p.MaxRuntime = d }) }

func deleteStopped(d time.Duration) edit {
	return policy(func(p *lifecycle.Policy) { p.DeleteStopped = d })
}

func startRetry(n int, initial, limit time.Duration) edit {
	return policy(func(p *lifecycle.Policy) {
		p.StartRetry = lifecycle.StartRetry{Max: n, Initial: initial, MaxInterval: limit}
	})
}

var atDeadline = policy(func(p *lifecycle.Policy) { p.DeleteAtDeadline = true })

func byHand(s *lifecycle.Snapshot) { s.Workspace.Autostart = nil }

func newerGoodSettings(add func(rows ...setting)) {
	hours := stops("CRON_TZ=Europe/Berlin 0 18 * * 1-5")
	add(
		setting{name: "working hours", edit: both(ttl(0), hours)},
		setting{name: "working hours and a TTL as long", edit: both(ttl(9*time.Hour), hours)},
		setting{name: "a TTL that ends ten minutes sooner", edit: both(ttl(9*time.Hour-10*time.Minute), hours)},
		setting{name: "hours of several lines", edit: both(ttl(0), autostart("CRON_TZ=Europe/Berlin 0 9 * * 1-4; 30 7 * * 5"), stops("CRON_TZ=Europe/Berlin 0 18 * * 1-4; 0 14 * * 5"))},
		setting{name: "two stretches a day", edit: both(ttl(0), autostart("0 8,14 * * 1-5"), stops("0 12,18 * * 1-5"))},
		setting{name: "a night shift", edit: both(ttl(0), autostart("CRON_TZ=Europe/Berlin 0 22 * * 1-5"), stops("CRON_TZ=Europe/Berlin 0 6 * * 2-6"))},
		setting{name: "stops only", edit: both(byHand, ttl(0), hours)},
		setting{name: "a stop by hand within the hours", edit: both(byHand, ttl(2*time.Hour), hours)},
		setting{name: "a stop in the gap, an hour later", edit: both(ttl(0), stops("CRON_TZ=Europe/Berlin 30 2 * * *"))},
		setting{name: "a stop that compat shows twice", edit: both(ttl(0), compatStops("CRON_TZ=America/New_York 30 1 * * *"))},
		setting{name: "lines of all hours", edit: autostart("CRON_TZ=Europe/Berlin 0 * * * 1-5; 30 * * * 6")},
		setting{name: "a line for the weekend where it is allowed", edit: autostart("CRON_TZ=Europe/Berlin 0 9 * * 1-5; 0 11 * * 6")},
		setting{name: "a cap above the TTL", edit: maxRuntime(12 * time.Hour)},
		setting{name: "a cap and no TTL", edit: both(ttl(0), maxRuntime(8*time.Hour))},
		setting{name: "a cap as long as the TTL", edit: maxRuntime(8 * time.Hour)},
		setting{name: "room to extend", edit: both(ttl(2*time.Hour), maxRuntime(8*time.Hour), policy(func(p *lifecycle.Policy) { p.MinExtend = time.Hour }))},
		setting{name: "a cap that ends every run anyway", edit: both(ttl(0), maxRuntime(2*time.Hour), policy(func(p *lifecycle.Policy) { p.MinExtend = 3 * time.Hour }))},
		setting{name: "no cap, a long extension", edit: policy(func(p *lifecycle.Policy) { p.MinExtend = 12 * time.Hour })},
		setting{name: "deleted a week after its stop", edit: deleteStopped(7 * day)},
		setting{name: "deleted a day after its stop, by hand", edit: both(byHand, deleteStopped(day))},
		setting{name: "started every day, deleted after two", edit: both(autostart("CRON_TZ=Europe/Berlin 0 9 * * *"), deleteStopped(2*day))},
		setting{name: "to throw away", edit: both(byHand, atDeadline)},
		setting{name: "to throw away, capped", edit: both(byHand, atDeadline, ttl(0), maxRuntime(8*time.Hour))},
		setting{name: "asleep after four days", edit: thresholds(4*day, 30*day)},
		setting{name: "asleep in a day, by hand", edit: both(byHand, thresholds(day, 30*day))},
		setting{name: "dormant when suspended, then deleted", edit: both(thresholds(0, 30*day), policy(func(p *lifecycle.Policy) { p.DormantWhenSuspended = true }))},
		setting{name: "tried again", edit: startRetry(3, 0, 0)},
		setting{name: "tried again after an hour", edit: startRetry(1, time.Hour, time.Hour)},
		setting{name: "tried again, without a schedule", edit: both(byHand, startRetry(3, 30*time.Hour, 40*time.Hour))},
		setting{name: "holidays that hold everything", edit: both(dates("2026-12-24..2026-12-31"), policy(func(p *lifecycle.Policy) { p.HolidaysHold = lifecycle.HoldAll }))},
		setting{name: "reminded in time", edit: both(ttl(time.Hour), lead(50*time.Minute))},
		setting{name: "runs of five minutes by hand, with a reminder", edit: both(byHand, ttl(5*time.Minute))},
	)
}

// Whatever the settings, a warning names one and a cure, and the same settings have the same warnings.
func TestLintOfRandomSettings(t *testing.T) {
	r := kit.Seeded(5)
	warned := 0
	for n := range 400 {
		s := r.Snapshot(n + 1)
		before := s
		got, again := lint.Workspace(s, monday, lint.Config{}), lint.Workspace(s, monday, lint.Config{})
		if !slices.Equal(got, again) || s != before {
			t.Fatalf("%v\n%v", got, again)
		}
		for _, w := range got {
			if w.Setting == "" || w.Problem == "" || w.Cure == "" || w.Code == "" {
				t.Errorf("%+v", w)
			}
			warned++
		}
	}
	if warned < 400 {
		t.Errorf("%d warnings of 400 random settings", warned)
	}
}

func FuzzLint(f *testing.F) {
	f.Add("CRON_TZ=Europe/Berlin 0 9 * * 1-5; 30 2 * * 0", "0 18 * * *", int64(8*time.Hour), int64(time.Hour), int64(0), int64(time.Hour), uint8(0x7f))
	f.Add("never", "", int64(0), int64(1), int64(1), int64(1), uint8(0))
	f.Fuzz(func(t *testing.T, start, stop string, run, most, deleted, retry int64, days uint8) {
		s := usual(stored(start), stops(stop), func(s *lifecycle.Snapshot) {
			p := &s.Template.Policy
			s.Workspace.TTL, p.MaxRuntime, p.DeleteStopped, p.AutostartDays = time.Duration(run), time.Duration(most), time.Duration(deleted), schedule.Days(days)
			p.StartRetry = lifecycle.StartRetry{Max: 1, Initial: time.Duration(retry)}
		})
		if s.Template.Policy.Validate() != nil || run < 0 || run > int64(schedule.MaxTTL) {
			return
		}
		for _, w := range lint.Workspace(s, monday, lint.Config{}) {
			if w.Setting == "" || w.Cure == "" {
				t.Errorf("%+v", w)
			}
		}
	})
}
