package lifecycle_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// A stored schedule that cannot be used is an error of its workspace; the other rules go on.
func TestUnusableSchedule(t *testing.T) {
	s := stopped(unusable("every morning"), tilDormant(7*day))
	d := lifecycle.Decide(s, monday)
	if d.Acts() || d.Err == nil || !strings.Contains(d.Err.Error(), "every morning") {
		t.Fatalf("decision %+v", d)
	}
	checkExplained(t, s, monday)
	x := lifecycle.Explain(s, monday)
	if r := x.Rules[lifecycle.RuleAutostart-1]; r.Verdict != lifecycle.VerdictOff || !strings.Contains(r.Because, "every morning") {
		t.Errorf("autostart: %s because %q", r.Verdict, r.Because)
	}
	if !strings.Contains(x.Summary, "Error: ") || x.Error == "" {
		t.Errorf("summary %q, error %q", x.Summary, x.Error)
	}
	now := monday.Add(8 * day)
	if d := lifecycle.Decide(s, now); words(d) != "dormancy: dormant" || d.Err == nil {
		t.Errorf("%s, error %v", words(d), d.Err)
	}
}

// The other stored values that cannot be used are errors of their workspace too.
func TestUnusableValues(t *testing.T) {
	var i schedule.Interner
	for name, s := range map[string]lifecycle.Snapshot{
		"a schedule of stops": running(workspace(func(w *lifecycle.Workspace) { w.Autostop = i.Weekly("every evening") })),
		"quiet hours, under the longest requirement": running(quietHours("0 3 * * *", schedule.AllDays, schedule.MaxRequirementWeeks),
			set(func(s *lifecycle.Snapshot) { s.Owner.QuietHours = i.Daily("at night") })),
		"days, behind a hold of every kind by name": stopped(policy(func(p *lifecycle.Policy) { p.AutostartDays = schedule.AllDays + 1 }),
			workspace(func(w *lifecycle.Workspace) { w.Hold.Rules = lifecycle.HoldAll })),
	} {
		if d := lifecycle.Decide(s, monday); d.Err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// It is looked at again after an hour, two, four, eight, sixteen, then every day.
func TestUnusableScheduleBacksOff(t *testing.T) {
	s := stopped(unusable("* * *"))
	now := monday
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 24, 24, 24} {
		next := lifecycle.NextWake(s, now)
		if next.Sub(now) != pause*time.Hour {
			t.Errorf("at %v: looked at again after %v, want %v", now, next.Sub(now), pause*time.Hour)
		}
		now = next
	}
	s.Build.CreatedAt, s.Workspace.CreatedAt = time.Time{}, time.Time{}
	if next := lifecycle.NextWake(s, monday); !next.After(monday) || next.After(monday.Add(day)) {
		t.Errorf("without any instant: looked at again at %v", next)
	}
}

// Holidays that cannot be read may be on every day: nothing happens, it is said why, and it is looked at again.
func TestUnusableHolidays(t *testing.T) {
	const text = "Mars/Olympus 2026-03-02"
	_, err := schedule.ParseDates(text)
	bad := policy(func(p *lifecycle.Policy) { p.Holidays = schedule.UnusableDates(text, err) })
	s := running(deadline(monday.Add(time.Hour)), tilDormant(day), lead(time.Minute), bad)
	now := monday
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 24, 24} {
		if d := lifecycle.Decide(s, now); d.Acts() || !errors.Is(d.Err, err) {
			t.Fatalf("at %v: decision %+v", now, d)
		}
		checkExplained(t, s, now)
		next := lifecycle.NextWake(s, now)
		if next.Sub(now) != pause*time.Hour {
			t.Errorf("at %v: looked at again after %v, want %v", now, next.Sub(now), pause*time.Hour)
		}
		now = next
	}
	x := lifecycle.Explain(s, now)
	for _, r := range x.Rules {
		if r.Verdict != lifecycle.VerdictOff || !strings.Contains(r.Because, text) {
			t.Errorf("%s: %s because %q", r.Rule, r.Verdict, r.Because)
		}
	}
	if len(x.Holds) > 0 || !x.HeldUntil.IsZero() {
		t.Errorf("held until %v: %q", x.HeldUntil, x.Holds)
	}
	if !strings.Contains(x.Summary, "holidays of the template cannot be read") || !strings.Contains(x.Error, text) {
		t.Errorf("summary %q, error %q", x.Summary, x.Error)
	}
	if _, err := json.Marshal(x); err != nil {
		t.Error(err)
	}
	s.Build.Status = lifecycle.JobRunning
	if d := lifecycle.Decide(s, now); d.Err != nil {
		t.Errorf("while a build runs nothing needs the holidays, but: %v", d.Err)
	}
}

// Quiet hours that cannot be used matter where a stop in them is required.
func TestUnusableQuietHours(t *testing.T) {
	var i schedule.Interner
	s := running(deadline(monday.Add(time.Hour)), set(func(s *lifecycle.Snapshot) { s.Owner.QuietHours = i.Daily("25 99 * * *") }))
	if d := lifecycle.Decide(s, monday); d.Err != nil {
		t.Errorf("nothing requires quiet hours, but: %v", d.Err)
	}
	s.Template.Policy.Requirement.Days = schedule.AllDays
	if d := lifecycle.Decide(s, monday); d.Err == nil {
		t.Error("want an error")
	}
	if d := lifecycle.Decide(s, monday.Add(time.Hour)); words(d) != "autostop: stop" || d.Err == nil {
		t.Errorf("%s, error %v", words(d), d.Err)
	}
	checkExplained(t, s, monday)
}

// A search for a start that never comes ends.
func TestSearchesAreBounded(t *testing.T) {
	var dates strings.Builder
	for d := monday; d.Year() < 2036; d = d.Add(7 * day) {
		dates.WriteString(d.Format(time.DateOnly) + ",")
	}
	s := stopped(autostart("0 9 * * 1"), holidays(strings.TrimSuffix(dates.String(), ",")))
	ruleCase{s: s}.checkNever(t)
	x := lifecycle.Explain(s, monday)
	if r := x.Rules[lifecycle.RuleAutostart-1]; !strings.Contains(r.Because, "never falls on a day that is allowed and not held") {
		t.Errorf("autostart: %q", r.Because)
	}
}

func TestPostpone(t *testing.T) {
	end := monday.Add(time.Hour)
	s := running(deadline(end), lead(time.Minute))
	now := end
	for n, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		c := lifecycle.Postpone(s, lifecycle.SkipRefused, "quota used up", now)
		b := c.Workspace.Backoff
		pause *= time.Minute
		if got := b.Until.Sub(now); got < pause || got > pause+pause/4 || b.Attempts != n+1 {
			t.Fatalf("attempt %d: pause %v, want %v and up to a quarter more", b.Attempts, got, pause)
		}
		if c.NewBuild || len(c.Events) != 0 || c.Workspace.Failures != 0 || b.Message != "quota used up" {
			t.Fatalf("change %+v", c)
		}
		s = apply(s, c)
		x := lifecycle.Explain(s, now)
		if r := x.Rules[lifecycle.RuleAutostop-1]; r.Verdict != lifecycle.VerdictHeld || !strings.Contains(r.Because, `refused: "quota used up"`) {
			t.Fatalf("explained: %s because %q", r.Verdict, r.Because)
		}
		s.Workspace.RemindedFor = end
		ruleCase{s: s, from: now, want: "autostop: stop", at: b.Until}.check(t)
		now = b.Until
	}
	if b := after(t, s, now).Workspace.Backoff; b != (lifecycle.Backoff{}) {
		t.Errorf("a build ends the back-off, but: %+v", b)
	}
}

// A back-off whose cause has gone is forgotten, so that the next obstacle starts with a short pause.
func TestRearmClearsABackoffThatIsOver(t *testing.T) {
	s := running(deadline(monday.Add(time.Hour)))
	s = apply(s, lifecycle.Postpone(s, lifecycle.SkipError, "down", monday))
	until := s.Workspace.Backoff.Until
	if c := lifecycle.Rearm(s, until.Add(-us)); c.Workspace.Backoff != s.Workspace.Backoff {
		t.Error("the back-off still holds")
	}
	c := lifecycle.Rearm(s, until)
	if c.Workspace.Backoff != (lifecycle.Backoff{}) || c.NewBuild || len(c.Events) > 0 || !c.Workspace.WakeAt.Equal(monday.Add(time.Hour)) {
		t.Errorf("change %+v", c)
	}
}

// The longest distance between required stops is none that cannot be used.
func TestTheLongestRequirementIsNoFault(t *testing.T) {
	for weeks, bad := range map[int]bool{schedule.MaxRequirementWeeks: false, schedule.MaxRequirementWeeks + 1: true, -1: true} {
		s := running(quietHours("0 13 * * *", schedule.AllDays, weeks))
		if d := lifecycle.Decide(s, monday); (d.Err != nil) != bad {
			t.Errorf("every %d weeks: %v", weeks, d.Err)
		}
	}
}
