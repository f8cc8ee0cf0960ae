package lifecycle_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

func TestAutostart(t *testing.T) {
	const start = "autostart: start"
	tomorrow := monday.Add(day) // 09:00, and monday itself does not count: strictly after
	nine := autostart("0 9 * * *")
	runRules(t, []ruleCase{
		{name: "strictly after the stop", s: stopped(nine), want: start, at: tomorrow},
		{name: "one microsecond after the stop", s: stopped(nine, build(func(b *lifecycle.Build) { b.CreatedAt = monday.Add(-us) })), want: start, at: monday},
		{name: "in its own zone", s: stopped(autostart("CRON_TZ=America/New_York 0 9 * * *")), want: start, at: at("2026-03-02 14:00")},
		{name: "counted from the creation of the stop", s: stopped(autostart("5 9 * * *"), build(func(b *lifecycle.Build) { b.CompletedAt = monday.Add(10 * time.Minute) })), want: start, at: monday.Add(5 * time.Minute)},
		{name: "not before the schedule was set", s: stopped(nine, workspace(func(w *lifecycle.Workspace) { w.AutostartAfter = tomorrow })), want: start, at: tomorrow.Add(day)},
		{name: "a canceled stop", s: newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobCanceled), nine), want: start, at: tomorrow},
		{name: "a failed delete", s: newWorkspace(built(lifecycle.TransitionDelete, lifecycle.JobFailed), nine)},
		{name: "a stop by hand, with a due instant", s: stopped(nine, build(func(b *lifecycle.Build) { b.DueAt = monday.Add(-day) })), want: start, at: tomorrow},
		{name: "no schedule", s: stopped()},
		{name: "running", s: running(nine)},
		{name: "never built", s: newWorkspace(nine)},
		{name: "a stop under way", s: newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobRunning), nine)},
		{name: "a failed stop", s: newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobFailed), nine)},
		{name: "a failed start", s: newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), nine), want: start, at: tomorrow},
		{name: "a canceled start", s: newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobCanceled), nine), want: start, at: tomorrow},
		{name: "dormant", s: stopped(nine, asleep(time.Time{}))},
		{name: "owner dormant", s: stopped(nine, owner(lifecycle.OwnerDormant))},
		{name: "owner suspended", s: stopped(nine, owner(lifecycle.OwnerSuspended))},
		{name: "the template forbids it", s: stopped(nine, policy(func(p *lifecycle.Policy) { p.AllowUserAutostart = false }))},
		{name: "no day is allowed", s: stopped(nine, policy(func(p *lifecycle.Policy) { p.AutostartDays = 0 }))},
		{name: "the next allowed day", s: stopped(nine, policy(func(p *lifecycle.Policy) { p.AutostartDays = schedule.DaysOf(time.Friday) })), want: start, at: at("2026-03-06 09:00")},
		{name: "weekend schedule on weekday template", s: stopped(autostart("0 9 * * 6,0"), policy(func(p *lifecycle.Policy) { p.AutostartDays = schedule.DaysOf(time.Monday) }))},
		{name: "the weekday is the schedule's", s: stopped(autostart("CRON_TZ=Pacific/Auckland 0 9 * * *"), policy(func(p *lifecycle.Policy) { p.AutostartDays = schedule.DaysOf(time.Tuesday) })), want: start, at: at("2026-03-02 20:00")},
	})
}

// A schedule at 02:30 of the night the clocks go forward, and of the night they go back.
func TestAutostartOverClockChanges(t *testing.T) {
	before := func(text string) edit { return build(func(b *lifecycle.Build) { b.CreatedAt = at(text) }) }
	compat, err := schedule.WeeklyWith("CRON_TZ=Europe/Berlin 30 2 * * *", schedule.Options{DST: schedule.DSTCompat})
	must(err)
	once := autostart("CRON_TZ=Europe/Berlin 30 2 * * *")
	like := workspace(func(w *lifecycle.Workspace) { w.Autostart = compat })
	const start = "autostart: start"
	runRules(t, []ruleCase{
		{name: "gap", s: stopped(once, before("2026-03-28 12:00")), want: start, at: at("2026-03-29 01:00")},
		{name: "gap, compatible", s: stopped(like, before("2026-03-28 12:00")), want: start, at: at("2026-03-30 00:30")},
		{name: "first of two", s: stopped(once, before("2026-10-24 12:00")), want: start, at: at("2026-10-25 00:30")},
		{name: "not the second", s: stopped(once, before("2026-10-25 00:31")), want: start, at: at("2026-10-26 01:30")},
		{name: "the second, compatible", s: stopped(like, before("2026-10-25 00:31")), want: start, at: at("2026-10-25 01:30")},
	})
}

// A stop whose job runs across the scheduled minute does not lose the day.
func TestAutostartAfterAStopThatStraddlesTheSchedule(t *testing.T) {
	created, scheduled := at("2026-03-03 08:58"), at("2026-03-03 09:00")
	s := do(t, running(autostart("0 9 * * *")), created, lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil))
	expect(t, s, scheduled, "nothing") // the job runs
	ended := at("2026-03-03 09:03")
	s = finish(t, s, ended, lifecycle.JobSucceeded)
	expect(t, s, ended, "autostart: start")
	if d := lifecycle.Decide(s, ended); !d.DueAt.Equal(scheduled) {
		t.Errorf("due since %v, want %v", d.DueAt, scheduled)
	}
	if !s.Workspace.WakeAt.Equal(ended) {
		t.Errorf("wakes at %v, want at once", s.Workspace.WakeAt)
	}
}

// However late: an overdue autostart fires, and once for all occurrences that passed.
func TestAutostartFiresOnceHoweverLate(t *testing.T) {
	late := monday.Add(40*day + 3*time.Hour)
	s := stopped(autostart("0 9 * * *"))
	expect(t, s, late, "autostart: start")
	s = finish(t, after(t, s, late), late, lifecycle.JobSucceeded)
	expect(t, s, late, "nothing")
	s = finish(t, do(t, s, late, lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil)), late, lifecycle.JobSucceeded)
	ruleCase{s: s, from: late, want: "autostart: start", at: at("2026-04-12 09:00")}.check(t)
}

func TestMaxLateness(t *testing.T) {
	const bound = 10 * time.Minute
	tomorrow := monday.Add(day)
	s := stopped(autostart("0 9 * * *"), policy(func(p *lifecycle.Policy) { p.MaxLateness = bound }))
	ruleCase{s: s, want: "autostart: start", at: tomorrow}.check(t)
	expect(t, s, tomorrow.Add(bound), "autostart: start")
	s.Workspace.Backoff = lifecycle.Backoff{Until: tomorrow, Attempts: 4, Cause: lifecycle.SkipRefused}
	for _, late := range []time.Duration{bound + us, bound + time.Hour, 5*day + bound + us} {
		now := tomorrow.Add(late)
		expect(t, s, now, "autostart: missed")
		c := lifecycle.Apply(s, lifecycle.Decide(s, now), now)
		if got := told(c.Events); got != "notice/workspace.start_missed audit/workspace.start_missed " || c.NewBuild {
			t.Errorf("told %s, new build %t", got, c.NewBuild)
		}
		if c.Workspace.Backoff != (lifecycle.Backoff{}) {
			t.Errorf("what was given up still backs off: %+v", c.Workspace.Backoff)
		}
		if !c.Events[0].DueAt.Equal(tomorrow) {
			t.Errorf("the missed start was due %v, want %v", c.Events[0].DueAt, tomorrow)
		}
		next := tomorrow.Add(day * (1 + late.Truncate(day)/day))
		ruleCase{s: apply(s, c), from: now, want: "autostart: start", at: next}.check(t)
	}
}

// What is given up is everything later than the bound and nothing else, also when occurrences are closer than that, and
// when now is finer than what is stored.
func TestMaxLatenessKeepsWhatIsNotTooLate(t *testing.T) {
	s := stopped(autostart("*/5 * * * *"), policy(func(p *lifecycle.Policy) { p.MaxLateness = 10 * time.Minute }))
	for _, extra := range []time.Duration{0, 1, us, time.Second} {
		now := monday.Add(time.Hour + extra)
		expect(t, s, now, "autostart: missed")
		next := after(t, s, now)
		expect(t, next, now, "autostart: start")
		want := monday.Add(50 * time.Minute)
		if extra >= us {
			want = want.Add(5 * time.Minute)
		}
		if d := lifecycle.Decide(next, now); !d.DueAt.Equal(want) {
			t.Errorf("%v past the hour: start due since %v, want %v", extra, d.DueAt, want)
		}
	}
}

func TestMaxLatenessCountsFromTheJitteredStart(t *testing.T) {
	s := stopped(autostart("0 9 * * *"), policy(func(p *lifecycle.Policy) { p.Jitter, p.MaxLateness = time.Hour, time.Minute }))
	wake := lifecycle.NextWake(s, monday)
	ruleCase{s: s, want: "autostart: start", at: wake}.check(t)
	expect(t, s, wake.Add(time.Minute), "autostart: start")
	expect(t, s, wake.Add(time.Minute+us), "autostart: missed")
	ruleCase{s: after(t, s, wake.Add(time.Hour)), from: wake.Add(time.Hour), want: "autostart: start", at: wake.Add(day)}.check(t)
}

func TestMaxLatenessGivesUpNoJitteredStartThatIsInTime(t *testing.T) {
	s := stopped(autostart("*/5 * * * *"), policy(func(p *lifecycle.Policy) { p.Jitter, p.MaxLateness = time.Hour, 10*time.Minute }))
	now := monday.Add(5 * time.Hour)
	expect(t, s, now, "autostart: missed")
	next := lifecycle.Decide(after(t, s, now), now)
	if late := now.Sub(next.DueAt); words(next) != "autostart: start" || late > 10*time.Minute || late <= 5*time.Minute {
		t.Errorf("%s, %v late; the first that is at most 10m late should start", words(next), late)
	}
}

// A start uses the version of the last build, or the active one if the template or the workspace wants it.
func TestAutostartVersion(t *testing.T) {
	tomorrow := monday.Add(day)
	required := policy(func(p *lifecycle.Policy) { p.RequireActiveVersion = true })
	updates := workspace(func(w *lifecycle.Workspace) { w.AutomaticUpdates = true })
	for _, c := range []struct {
		name string
		edit edit
		want uuid.UUID
		told string
	}{
		{"as before", with(), oldVersion, "audit/build.queued "},
		{"required", required, activeVersion, "audit/build.queued notice/workspace.updated "},
		{"opted in", updates, activeVersion, "audit/build.queued notice/workspace.updated "},
		{"active already", with(updates, build(func(b *lifecycle.Build) { b.TemplateVersionID = activeVersion })), activeVersion, "audit/build.queued "},
	} {
		s := stopped(autostart("0 9 * * *"), c.edit)
		change := lifecycle.Apply(s, lifecycle.Decide(s, tomorrow), tomorrow)
		if change.Build.TemplateVersionID != c.want || told(change.Events) != c.told {
			t.Errorf("%s: version %v, told %s", c.name, change.Build.TemplateVersionID, told(change.Events))
		}
	}
}

// A build is due since its rule first was, however often it was refused since: the starts after a stop count from that.
func TestBuildIsDueSinceItsRuleWas(t *testing.T) {
	for name, s := range map[string]lifecycle.Snapshot{
		"start": stopped(autostart("CRON_TZ=UTC 0 9 * * 1-5")),
		"stop":  running(deadline(monday.Add(time.Hour))),
	} {
		now := lifecycle.NextWake(s, monday)
		due := now
		for range 3 {
			s = apply(s, lifecycle.Postpone(s, lifecycle.SkipRefused, "not now", now))
			now = lifecycle.NextWake(s, now)
		}
		s = after(t, s, now)
		if !s.Build.CreatedAt.Equal(now) || !s.Build.DueAt.Equal(due) {
			t.Errorf("%s: made at %v, due at %v; want %v and %v", name, s.Build.CreatedAt, s.Build.DueAt, now, due)
		}
	}
}
