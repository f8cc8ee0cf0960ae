package lint_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/kit"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/lint"
	"github.com/dormouse-go/dormouse/schedule"
)

// setting is one row of the tables: a usual workspace with one thing changed, and the warnings it deserves as
// "code setting", none for a good one.
type setting struct {
	name   string
	edit   edit
	config lint.Config
	now    time.Time
	want   []string
}

// usual is a workspace whose settings nobody would object to.
func usual(edits ...edit) lifecycle.Snapshot {
	s := stopped(autostart("CRON_TZ=Europe/Berlin 0 9 * * 1-5"), ttl(8*time.Hour), policy(func(p *lifecycle.Policy) {
		p.ActivityBump, p.ReminderLead, p.FailureTTL = time.Hour, 30*time.Minute, time.Hour
		p.TimeTilDormant, p.TimeTilAutodelete = 30*day, 30*day
	}))
	for _, e := range edits {
		e(&s)
	}
	return s
}

func stored(spec string) edit {
	return func(s *lifecycle.Snapshot) { s.Workspace.Autostart = kit.Interner.Weekly(spec) }
}

func compat(spec string) edit {
	return func(s *lifecycle.Snapshot) {
		s.Workspace.Autostart = must(schedule.WeeklyWith(spec, schedule.Options{DST: schedule.DSTCompat}))
	}
}

func days(text string) edit {
	return policy(func(p *lifecycle.Policy) { p.AutostartDays = must(schedule.ParseDays(text)) })
}

func dates(text string) edit {
	return policy(func(p *lifecycle.Policy) { p.Holidays = schedule.ReadDates(text) })
}

func require(days string, weeks int, quiet string) edit {
	return func(s *lifecycle.Snapshot) {
		s.Template.Policy.Requirement = schedule.Requirement{Days: must(schedule.ParseDays(days)), Weeks: weeks}
		s.Owner.QuietHours = kit.Interner.Daily(quiet)
	}
}

func thresholds(dormant, remove time.Duration) edit {
	return policy(func(p *lifecycle.Policy) { p.TimeTilDormant, p.TimeTilAutodelete = dormant, remove })
}

func both(edits ...edit) edit {
	return func(s *lifecycle.Snapshot) {
		for _, e := range edits {
			e(s)
		}
	}
}

func takes(d time.Duration) lint.Config {
	return lint.Config{Build: func(lifecycle.Snapshot) forecast.Outcome {
		return forecast.Outcome{Took: d, Status: lifecycle.JobSucceeded}
	}}
}

// workers are able to run builds whose tags are among theirs.
func workers(tags map[string]string, have ...map[string]string) lint.Config {
	return lint.Config{Tags: tags, CanRun: func(want map[string]string) bool {
		return slices.ContainsFunc(have, func(h map[string]string) bool {
			for k, v := range want {
				if h[k] != v {
					return false
				}
			}
			return true
		})
	}}
}

// planned says that so many builds of others are due in the given minutes of the day, in UTC.
func planned(capacity, n int, minutes ...string) lint.Config {
	return lint.Config{Capacity: capacity, Planned: func(m time.Time) int {
		if slices.Contains(minutes, m.UTC().Format("15:04")) {
			return n
		}
		return 0
	}}
}

var july = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)

func none(*lifecycle.Snapshot) {}

type tags = map[string]string

func badSettings() []setting {
	var all []setting
	add := func(want string, rows ...setting) {
		for _, r := range rows {
			r.want = append(r.want, want)
			all = append(all, r)
		}
	}
	add("never_fires Workspace.Autostart",
		setting{name: "a word", edit: stored("never")},
		setting{name: "four fields", edit: stored("0 9 * *")},
		setting{name: "a zone on Mars", edit: stored("CRON_TZ=Mars/Olympus 0 9 * * *")},
		setting{name: "minute 61", edit: stored("61 9 * * *")},
		setting{name: "a descriptor", edit: stored("@daily")},
		setting{name: "the host's zone", edit: stored("CRON_TZ=Local 0 9 * * *")},
		setting{name: "the first of the month", edit: stored("0 9 1 * *")},
	)
	add("never_fires Policy.AllowUserAutostart",
		setting{name: "schedule where none is allowed", edit: policy(func(p *lifecycle.Policy) { p.AllowUserAutostart = false })},
		setting{
			name: "two obstacles", edit: both(days("none"), policy(func(p *lifecycle.Policy) { p.AllowUserAutostart = false })),
			want: []string{"never_fires Policy.AutostartDays"},
		},
	)
	add("never_fires Policy.AutostartDays",
		setting{name: "no day allowed", edit: days("none")},
		setting{name: "weekend on working days", edit: both(autostart("0 9 * * 6,0"), days("Mon-Fri"))},
		setting{name: "Monday on Tuesdays", edit: both(autostart("0 9 * * 1"), days("Tue"))},
		setting{name: "Sunday in New York, Monday in UTC", edit: both(autostart("CRON_TZ=America/New_York 59 23 * * 0"), days("Mon"))},
		setting{name: "Wednesday anywhere else", edit: both(autostart("0 9 * * 3"), days("Mon,Tue,Thu-Sun"))},
	)
	add("never_fires Policy.Holidays",
		setting{name: "holidays for ever", edit: dates("2026-01-01..9999-12-30")},
		setting{name: "holidays that cannot be read", edit: dates("Christmas")},
	)
	add("never_fires Owner.QuietHours",
		setting{name: "stop required in no quiet hours", edit: require("Sat", 1, "")},
		setting{name: "every day", edit: require("all", 0, "")},
		setting{name: "every fourth week", edit: require("Sun", 4, "")},
		setting{name: "quiet hours that cannot be read", edit: require("Sat", 1, "at night")},
	)
	add("never_fires Policy.TimeTilAutodelete",
		setting{name: "deletion without dormancy", edit: thresholds(0, 30*day)},
		setting{name: "soon, without dormancy", edit: thresholds(0, time.Hour)},
	)
	add("forbidden_days Workspace.Autostart",
		setting{name: "Friday too many", edit: days("Mon-Thu")},
		setting{name: "every day on working days", edit: both(autostart("0 9 * * *"), days("Mon-Fri"))},
		setting{name: "Saturday too many", edit: both(autostart("0 9 * * 1-6"), days("Mon-Fri"))},
		setting{name: "only Monday of five", edit: days("Mon")},
		setting{name: "Sunday late", edit: both(autostart("CRON_TZ=Asia/Tokyo 30 23 * * 0,1"), days("Mon-Sat"))},
		setting{name: "every hour", edit: both(autostart("0 * * * *"), days("Mon-Sat"))},
		setting{name: "twice a day", edit: both(autostart("0 7,13 * * 2,4"), days("Tue"))},
	)
	add("clock_gap Workspace.Autostart",
		setting{name: "Berlin 02:30", edit: autostart("CRON_TZ=Europe/Berlin 30 2 * * *")},
		setting{name: "Berlin 02:00", edit: autostart("CRON_TZ=Europe/Berlin 0 2 * * *")},
		setting{name: "Berlin 02:59 on Sundays", edit: autostart("CRON_TZ=Europe/Berlin 59 2 * * 0")},
		setting{name: "one of two times", edit: autostart("CRON_TZ=Europe/Berlin 0 2,9 * * *")},
		setting{name: "New York 02:15", edit: autostart("CRON_TZ=America/New_York 15 2 * * *")},
		setting{name: "London 01:30", edit: autostart("CRON_TZ=Europe/London 30 1 * * *")},
		setting{name: "midnight in Santiago", edit: autostart("CRON_TZ=America/Santiago 0 0 * * *")},
		setting{name: "half an hour on Lord Howe", edit: autostart("CRON_TZ=Australia/Lord_Howe 15 2 * * *")},
		setting{name: "half past midnight in Cairo", edit: autostart("CRON_TZ=Africa/Cairo 30 0 * * *")},
		setting{name: "Friday in Jerusalem", edit: autostart("CRON_TZ=Asia/Jerusalem 30 2 * * 5")},
		setting{name: "left out in compat", edit: compat("CRON_TZ=Europe/Berlin 30 2 * * *")},
		setting{name: "every quarter of a lost hour", edit: autostart("CRON_TZ=Europe/Paris */15 2 * * *")},
	)
	add("clock_repeat Workspace.Autostart",
		setting{name: "New York 01:30 in compat", edit: compat("CRON_TZ=America/New_York 30 1 * * *")},
		setting{name: "Berlin 02:30 in compat, in summer", edit: compat("CRON_TZ=Europe/Berlin 30 2 * * *"), now: july},
		setting{name: "London 01:15 in compat, in summer", edit: compat("CRON_TZ=Europe/London 15 1 * * *"), now: july},
		setting{name: "Chicago 01:00 on Sundays in compat", edit: compat("CRON_TZ=America/Chicago 0 1 * * 0")},
	)
	add("stops_after_start Workspace.TTL",
		setting{name: "TTL of two minutes", edit: ttl(2 * time.Minute)},
		setting{name: "TTL of five minutes", edit: ttl(5 * time.Minute)},
		setting{name: "TTL of fourteen minutes", edit: ttl(14 * time.Minute)},
		setting{name: "spread over a minute, and a TTL of ten", edit: both(ttl(10*time.Minute), policy(func(p *lifecycle.Policy) { p.Jitter = time.Minute }))},
		setting{name: "extended, and a TTL of three minutes", edit: both(ttl(3*time.Minute), policy(func(p *lifecycle.Policy) { p.ExtendAtAutostart = true }))},
	)
	add("stops_after_start Policy.DefaultTTL",
		setting{name: "the template's TTL of five minutes", edit: policy(func(p *lifecycle.Policy) { p.DefaultTTL, p.AllowUserTTL = 5*time.Minute, false })},
	)
	add("shorter_than_build Workspace.TTL",
		setting{name: "two minutes for a build of five", edit: ttl(2 * time.Minute), config: takes(5 * time.Minute)},
		setting{name: "half an hour for a build of forty minutes", edit: ttl(30 * time.Minute), config: takes(40 * time.Minute)},
		setting{name: "an hour for a build of two", edit: ttl(time.Hour), config: takes(2 * time.Hour)},
		setting{name: "started by hand only", edit: both(ttl(time.Minute), func(s *lifecycle.Snapshot) { s.Workspace.Autostart = nil }), config: takes(3 * time.Minute)},
	)
	add("shorter_than_build Policy.DefaultTTL",
		setting{name: "the template's TTL", edit: policy(func(p *lifecycle.Policy) { p.DefaultTTL, p.AllowUserTTL = 10*time.Minute, false }), config: takes(20 * time.Minute)},
	)
	add("deletes_untold Policy.TimeTilAutodelete",
		setting{name: "deleted after a minute", edit: thresholds(7*day, time.Minute)},
		setting{name: "after an hour", edit: thresholds(30*day, time.Hour)},
		setting{name: "after half a day", edit: thresholds(4*day, 12*time.Hour)},
		setting{name: "after 23 hours", edit: thresholds(90*day, 23*time.Hour)},
	)
	add("no_worker Tags.gpu",
		setting{name: "no GPU", edit: none, config: workers(tags{"gpu": "a100", "region": "eu"}, tags{"region": "eu"})},
		setting{name: "another GPU", edit: none, config: workers(tags{"gpu": "a100"}, tags{"gpu": "h100"})},
	)
	add("no_worker Tags",
		setting{name: "no worker at all", edit: none, config: workers(tags{"region": "eu"})},
		setting{name: "two wrong tags", edit: none, config: workers(tags{"gpu": "x", "region": "mars"}, tags{"region": "eu"})},
	)
	add("herd Workspace.Autostart",
		setting{name: "a full minute", edit: none, config: planned(10, 10, "08:00", "07:00")},
		setting{name: "a very full minute", edit: none, config: planned(5, 300, "08:00", "07:00", "08:01", "07:01")},
		setting{name: "room before it only", edit: none, config: planned(1, 1, "08:00", "08:01", "08:02", "08:03")},
	)
	add("herd Policy.Jitter",
		setting{name: "everybody stops at once", edit: none, config: planned(20, 50, "16:01")},
	)
	newerBadSettings(add)
	return all
}

func goodSettings() []setting {
	var all []setting
	add := func(rows ...setting) { all = append(all, rows...) }
	add(setting{name: "usual", edit: none})
	for _, spec := range []string{
		"CRON_TZ=Europe/Berlin 30 2 * * 1-5", // clocks change on Sundays
		"CRON_TZ=Europe/Berlin 30 1 * * *", "CRON_TZ=Europe/Berlin 0 3 * * *", "30 2 * * *", "CRON_TZ=Asia/Kolkata 30 2 * * *",
		"CRON_TZ=America/Phoenix 15 2 * * *", "CRON_TZ=America/New_York 30 1 * * *", "CRON_TZ=America/New_York 0 3 * * 0",
		"CRON_TZ=Europe/London 0 2 * * *", "CRON_TZ=Europe/London 59 0 * * *", "CRON_TZ=Asia/Tokyo 0 0 * * *",
		"CRON_TZ=America/Santiago 0 1 * * *", "CRON_TZ=Australia/Lord_Howe 30 2 * * *", "CRON_TZ=Africa/Cairo 0 1 * * *",
		"CRON_TZ=Asia/Jerusalem 30 2 * * 0-4", "CRON_TZ=Europe/Berlin 0 * * * *", "CRON_TZ=Europe/Berlin */20 * * * *",
		"CRON_TZ=Europe/Berlin 0 9 * * MON-FRI", "CRON_TZ=Europe/Berlin 0 7,13 * * *", "59 23 * * 5", "0 9 * * ?",
	} {
		add(setting{name: spec, edit: stored(spec)})
	}
	add(
		setting{name: "compat outside the change", edit: compat("CRON_TZ=Europe/Berlin 0 9 * * *")},
		setting{name: "compat on working days", edit: compat("CRON_TZ=Europe/Berlin 30 2 * * 1-5")},
		setting{name: "compat, every hour", edit: compat("CRON_TZ=Europe/Berlin 30 * * * *")},
		setting{name: "a repeated time, once", edit: autostart("CRON_TZ=America/New_York 30 1 * * *"), now: july},
		setting{name: "no schedule", edit: func(s *lifecycle.Snapshot) { s.Workspace.Autostart = nil }},
		setting{name: "no schedule where none is allowed", edit: both(func(s *lifecycle.Snapshot) { s.Workspace.Autostart = nil }, policy(func(p *lifecycle.Policy) { p.AllowUserAutostart = false }))},
		setting{name: "the days of the template", edit: days("Mon-Fri")},
		setting{name: "weekend where it is allowed", edit: both(autostart("0 9 * * 6,0"), days("Sat,Sun"))},
		setting{name: "some holidays", edit: dates("Europe/Berlin 2026-04-03..2026-04-06,2026-12-24..2026-12-31")},
		setting{name: "a summer of holidays", edit: dates("2026-06-01..2026-08-31")},
		setting{name: "holidays that are over", edit: dates("2020-01-01")},
		setting{name: "stop required", edit: require("Sat", 1, "CRON_TZ=Europe/Berlin 0 3 * * *")},
		setting{name: "every day", edit: require("all", 0, "0 22 * * *")},
		setting{name: "every sixteenth week", edit: require("Sun", 16, "0 3 * * *")},
		setting{name: "quiet hours and nothing required", edit: require("none", 0, "0 3 * * *")},
		setting{name: "quiet hours two hours after the start", edit: require("all", 1, "CRON_TZ=Europe/Berlin 0 12 * * *")},
		setting{name: "no TTL", edit: ttl(0)},
		setting{name: "an hour", edit: ttl(time.Hour)},
		setting{name: "sixteen minutes", edit: both(ttl(16*time.Minute), lead(5*time.Minute))},
		setting{name: "the longest TTL", edit: ttl(30 * day)},
		setting{name: "by hand and short", edit: both(ttl(2*time.Minute), func(s *lifecycle.Snapshot) { s.Workspace.Autostart = nil })},
		setting{name: "the template's TTL", edit: policy(func(p *lifecycle.Policy) { p.AllowUserTTL = false })},
		setting{name: "a short TTL that does not rule", edit: func(s *lifecycle.Snapshot) { s.Workspace.TTL, s.Template.Policy.AllowUserTTL = time.Minute, false }},
		setting{name: "no bump", edit: policy(func(p *lifecycle.Policy) { p.ActivityBump = 0 })},
		setting{name: "extended at its start", edit: policy(func(p *lifecycle.Policy) { p.ExtendAtAutostart = true })},
		setting{name: "spread over an hour", edit: policy(func(p *lifecycle.Policy) { p.Jitter = time.Hour })},
		setting{name: "not too late", edit: policy(func(p *lifecycle.Policy) { p.MaxLateness = 3 * time.Hour })},
		setting{name: "deleted after a day", edit: thresholds(14*day, day)},
		setting{name: "dormant only", edit: thresholds(14*day, 0)},
		setting{name: "never unused", edit: thresholds(0, 0)},
		setting{name: "slow builds", edit: none, config: takes(20 * time.Minute)},
		setting{name: "an hour for a build of twenty minutes", edit: ttl(time.Hour), config: takes(20 * time.Minute)},
		setting{name: "a worker for it", edit: none, config: workers(tags{"gpu": "a100"}, tags{"region": "eu"}, tags{"gpu": "a100", "region": "us"})},
		setting{name: "no tags, any worker", edit: none, config: workers(nil, tags{"region": "eu"})},
		setting{name: "the last place in the minute", edit: none, config: planned(10, 9, "08:00", "16:01")},
		setting{name: "a full minute at another time", edit: none, config: planned(10, 10, "07:59", "08:01")},
		setting{name: "no capacity known", edit: none, config: planned(0, 1000, "08:00")},
		setting{name: "dormant at the moment", edit: func(s *lifecycle.Snapshot) { s.Workspace.DormantAt = monday }},
		setting{name: "held at the moment", edit: func(s *lifecycle.Snapshot) { s.Workspace.Hold.Until = monday.Add(900 * day) }},
		setting{name: "the owner is away", edit: func(s *lifecycle.Snapshot) { s.Owner.Status = lifecycle.OwnerDormant }},
		setting{name: "needs attention", edit: func(s *lifecycle.Snapshot) { s.Workspace.AttentionAt, s.Workspace.Failures = monday, 9 }},
		setting{name: "never built", edit: func(s *lifecycle.Snapshot) { s.Build = lifecycle.Build{} }},
		setting{name: "in a warm pool", edit: both(stored("never"), func(s *lifecycle.Snapshot) { s.Workspace.Managed = true })},
		setting{name: "deleted", edit: both(stored("never"), func(s *lifecycle.Snapshot) { s.Workspace.Deleted = true })},
	)
	newerGoodSettings(add)
	return all
}

func TestLint(t *testing.T) {
	bad, good := badSettings(), goodSettings()
	t.Logf("%d bad and %d good settings", len(bad), len(good))
	if len(bad) < 60 || len(good) < 60 {
		t.Errorf("the tables have %d bad and %d good settings, 60 each are promised", len(bad), len(good))
	}
	for _, c := range append(bad, good...) {
		kind := "bad"
		if len(c.want) == 0 {
			kind = "good"
		}
		t.Run(kind+"/"+c.name, func(t *testing.T) { c.check(t) })
	}
}

func (c setting) check(t *testing.T) {
	if c.now.IsZero() {
		c.now = monday
	}
	s := usual(c.edit)
	before := s
	var got []string
	for _, w := range lint.Workspace(s, c.now, c.config) {
		got = append(got, fmt.Sprint(w.Code, " ", w.Setting))
		if w.Cure == "" || w.Problem == "" || !strings.Contains(w.String(), w.Setting) {
			t.Errorf("%+v", w)
		}
		if w.Value == "" && w.Setting != "Owner.QuietHours" && w.Setting != "Tags" {
			t.Errorf("%s: the value is missing", w)
		}
		t.Log(w)
	}
	slices.Sort(got)
	slices.Sort(c.want)
	if !slices.Equal(got, c.want) {
		t.Errorf("warnings %q, want %q", got, c.want)
	}
	if s != before {
		t.Error("the snapshot was changed")
	}
}

// The cure of a herd was tried: with it, the warning is gone.
func TestLintFleetCuresAHerd(t *testing.T) {
	fleet := func(jitter time.Duration, n int) []lifecycle.Snapshot {
		var all []lifecycle.Snapshot
		for i := range n {
			s := usual(policy(func(p *lifecycle.Policy) { p.Jitter = jitter }))
			s.Workspace.ID, s.Workspace.Name = id(1000+i*7919), fmt.Sprint("ws-", i)
			s.Build.CreatedAt = monday
			all = append(all, s)
		}
		return all
	}
	config := lint.Config{Capacity: 12}
	got := lint.Fleet(fleet(0, 60), monday, config)
	if len(got) != 1 || got[0].Code != lint.Herd || got[0].Setting != "Policy.Jitter" || !got[0].At.Equal(monday.Add(2*time.Hour)) {
		t.Fatalf("got %v", got)
	}
	var jitter time.Duration
	if _, text, ok := strings.Cut(got[0].Cure, "set it to "); ok {
		text, _, _ = strings.Cut(text, ":")
		jitter = must(time.ParseDuration(strings.ReplaceAll(text, " ", "")))
	}
	if jitter == 0 {
		t.Fatalf("no spread in %q", got[0].Cure)
	}
	if got := lint.Fleet(fleet(jitter, 60), monday, config); len(got) != 0 {
		t.Errorf("after the cure: %v", got)
	}
	if got := lint.Fleet(fleet(0, 12), monday, config); len(got) != 0 {
		t.Errorf("within capacity: %v", got)
	}
	if got := lint.Fleet(fleet(0, 60), monday, lint.Config{Capacity: 1}); len(got) != 1 || strings.Contains(got[0].Cure, "set it to") {
		t.Errorf("60 builds a day do not fit one a minute within 5 minutes: %v", got)
	}
}

// Forty deletions in an hour are more than the brake lets through in a fleet of sixty; spread over a day they are not.
func TestLintFleetTellsOfTheBrake(t *testing.T) {
	fleet := func(jitter time.Duration) []lifecycle.Snapshot {
		var all []lifecycle.Snapshot
		for i := range 60 {
			s := usual(thresholds(30*day, 10*day), policy(func(p *lifecycle.Policy) { p.Jitter = jitter }))
			s.Workspace.ID = id(1000 + i*7919)
			if i < 40 {
				s.Workspace.DormantAt, s.Workspace.DeletingAt = monday.Add(-8*day), monday.Add(2*day)
			}
			all = append(all, s)
		}
		return all
	}
	got := lint.Fleet(fleet(0), monday, lint.Config{})
	if len(got) != 1 || got[0].Code != lint.Braked || got[0].Setting != "Policy.TimeTilAutodelete" || got[0].At.Sub(monday) < 2*day ||
		!strings.Contains(got[0].Problem, "40 deletions") || !strings.Contains(got[0].Problem, "makes 30 wait") || !strings.Contains(got[0].Cure, "4h") {
		t.Errorf("got %v", got)
	}
	for name, got := range map[string]lint.Warnings{
		"spread":         lint.Fleet(fleet(day), monday, lint.Config{}),
		"a few":          lint.Fleet(fleet(0)[30:], monday, lint.Config{}),
		"a looser brake": lint.Fleet(fleet(0), monday, lint.Config{Brake: lifecycle.Brake{Max: 40, MaxPerTemplate: 40}}),
	} {
		if len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The place that a fleet has left in a minute is for one more, not for two; a minute later there is room.
func TestLintBesideAFleet(t *testing.T) {
	var fleet []lifecycle.Snapshot
	for i := range 12 {
		s := usual()
		s.Workspace.ID, s.Build.CreatedAt = id(1000+i), monday
		fleet = append(fleet, s)
	}
	until := monday.AddDate(0, 0, 7)
	for n, want := range map[int]int{11: 0, 12: 1} {
		config := lint.Config{Capacity: 12, Planned: lint.Planned(slices.Values(fleet[:n]), monday, until, forecast.Assumptions{})}
		got := lint.Workspace(usual(), monday, config)
		if len(got) != want || want > 0 && (got[0].Code != lint.Herd || !strings.Contains(got[0].Cure, "start at 09:01")) {
			t.Errorf("beside %d: %v", n, got)
		}
	}
}
