package lifecycle_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// followed is a workspace that follows a new policy of its template from now on.
func followed(t *testing.T, s lifecycle.Snapshot, now time.Time, change func(*lifecycle.Policy)) lifecycle.Snapshot {
	t.Helper()
	s = replaced(t, s, now, withPolicy(change))
	return apply(s, lifecycle.Rearm(s, now))
}

// What nobody touches any more, or something else controls, follows a policy without being changed by it.
func TestDeletedAndManagedFollowNothing(t *testing.T) {
	for name, e := range map[string]edit{
		"deleted": workspace(func(w *lifecycle.Workspace) { w.Deleted = true }),
		"managed": workspace(func(w *lifecycle.Workspace) { w.Managed = true }),
	} {
		s := running(ttl(8*time.Hour), deadline(monday.Add(8*time.Hour)), e)
		is := followed(t, s, monday, func(p *lifecycle.Policy) { p.AllowUserTTL, p.DefaultTTL, p.MaxRuntime = false, time.Hour, time.Hour })
		if is.Workspace.Seen.Template != 1 || is.Workspace.TTL != 8*time.Hour || is.Build != s.Build || is.Workspace.Floors != (lifecycle.Floors{}) {
			t.Errorf("%s: TTL %v, build %+v, %+v", name, is.Workspace.TTL, is.Build, is.Workspace.Floors)
		}
	}
}

func TestATemplatesTTLReplacesTheOwners(t *testing.T) {
	fixed := func(p *lifecycle.Policy) { p.AllowUserTTL, p.DefaultTTL = false, 3*time.Hour }
	if s := followed(t, stopped(ttl(8*time.Hour)), monday, fixed); s.Workspace.TTL != 3*time.Hour {
		t.Errorf("TTL %v", s.Workspace.TTL)
	}
	if s := followed(t, stopped(ttl(8*time.Hour)), monday, func(p *lifecycle.Policy) { p.DefaultTTL = 3 * time.Hour }); s.Workspace.TTL != 8*time.Hour {
		t.Errorf("TTL %v, though owners choose it", s.Workspace.TTL)
	}
}

// A deletion moves with what it counts from, and with nothing else.
func TestDeletionMovesOnlyWithItsPolicy(t *testing.T) {
	asleepSince := func(at, deleting time.Time, after time.Duration) lifecycle.Snapshot {
		return stopped(tilDeleted(after), workspace(func(w *lifecycle.Workspace) { w.DormantAt, w.DeletingAt = at, deleting }))
	}
	s := asleepSince(monday.Add(-5*day), monday.Add(6*day), 7*day) // a grace, or a person, has moved it
	if got := followed(t, s, monday, func(p *lifecycle.Policy) { p.ActivityBump = time.Hour }).Workspace.DeletingAt; !got.Equal(monday.Add(6 * day)) {
		t.Errorf("another change moves it to %v", got)
	}
	s = asleepSince(monday.Add(-5*time.Hour), monday.Add(2*time.Hour), 7*time.Hour)
	if got := followed(t, s, monday, func(p *lifecycle.Policy) { p.TimeTilAutodelete = 10 * time.Hour }).Workspace.DeletingAt; !got.Equal(monday.Add(5 * time.Hour)) {
		t.Errorf("later, within the grace: %v", got)
	}
}

// What a policy does to the deadline and the cap of a run.
func TestDeadlinesOfARunThatFollows(t *testing.T) {
	since := func(ago time.Duration) edit {
		return build(func(b *lifecycle.Build) { b.RunSince, b.CompletedAt = monday.Add(-ago), monday.Add(-ago) })
	}
	fixed := func(d time.Duration) edit {
		return policy(func(p *lifecycle.Policy) { p.AllowUserTTL, p.DefaultTTL = false, d })
	}
	stops := workspace(func(w *lifecycle.Workspace) { w.Autostop = weekly("0 20 * * *") })
	longest := func(d time.Duration) edit { return policy(func(p *lifecycle.Policy) { p.MaxRuntime = d }) }
	daily := func(p *lifecycle.Policy) { p.Requirement = schedule.Requirement{Days: schedule.AllDays, Weeks: 1} }
	noon, evening := at("2026-03-02 12:00"), at("2026-03-02 20:00")
	for name, c := range map[string]struct {
		s             lifecycle.Snapshot
		change        func(*lifecycle.Policy)
		want, wantMax time.Time
	}{
		"a cap goes, and a deadline that somebody has set stays": {
			running(ttl(8*time.Hour), quietHours("0 12 * * *", schedule.AllDays, 1), deadlines(monday.Add(time.Hour), noon)),
			func(p *lifecycle.Policy) { p.Requirement = schedule.Requirement{} }, monday.Add(time.Hour),
			time.Time{},
		},
		"the TTL goes, and the schedule of stops stays": {
			running(fixed(8*time.Hour), stops, deadline(monday.Add(8*time.Hour))),
			func(p *lifecycle.Policy) { p.DefaultTTL = 0 }, evening,
			time.Time{},
		},
		"a cap moves later within the grace": {
			running(since(20*time.Hour+30*time.Minute), longest(21*time.Hour), deadlines(monday.Add(30*time.Minute), monday.Add(30*time.Minute))),
			func(p *lifecycle.Policy) { p.MaxRuntime = 21*time.Hour + 30*time.Minute }, monday.Add(time.Hour), monday.Add(time.Hour),
		},
		"quiet hours soon after the grace, of a long run": {
			running(since(5*day), quietHours("0 12 * * *", 0, 0)), daily, noon, noon,
		},
		"quiet hours with the end of the grace, of a long run": {
			running(since(5*day), quietHours("0 11 * * *", 0, 0)), daily, monday.Add(2 * time.Hour), monday.Add(2 * time.Hour),
		},
	} {
		b := followed(t, c.s, monday, c.change).Build
		if !b.Deadline.Equal(c.want) || !b.MaxDeadline.Equal(c.wantMax) {
			t.Errorf("%s: deadline %v, max %v; want %v, %v", name, b.Deadline, b.MaxDeadline, c.want, c.wantMax)
		}
	}
}

// A policy that begins to try starts again tries none that failed before; another change ends no tries.
func TestStartRetriesThatBegin(t *testing.T) {
	now, nine := monday.Add(26*time.Hour), monday.Add(48*time.Hour)
	failed := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), autostart("0 9 * * *"), build(func(b *lifecycle.Build) {
		b.Reason, b.CreatedAt, b.CompletedAt = lifecycle.ReasonAutostart, monday.Add(day), monday.Add(day)
	}), workspace(func(w *lifecycle.Workspace) { w.StartFailures = 1 }))
	s := followed(t, failed, now, func(p *lifecycle.Policy) { p.StartRetry.Max = 3 })
	ruleCase{name: "begins", s: s, from: now, want: "autostart: start", at: nine}.check(t)
	tries := policy(func(p *lifecycle.Policy) { p.StartRetry = lifecycle.StartRetry{Max: 3, Initial: 4 * time.Hour} })
	tries(&failed)
	want := lifecycle.NextWake(failed, now)
	s = followed(t, failed, now, func(p *lifecycle.Policy) { p.ActivityBump = time.Hour })
	ruleCase{name: "goes on", s: s, from: now, want: "start_retry: start", at: want}.check(t)
	s.Workspace.Autostop = weekly("0 20 * * *") // nobody knows when the start was due, so no stop has ended it
	ruleCase{name: "due at no instant", s: s, from: now, want: "start_retry: start", at: want}.check(t)
}

// A workspace that has skipped so many policies that nobody remembers its own starts nothing that is due at once.
func TestAForgottenPolicyStartsNothing(t *testing.T) {
	now := monday.Add(26 * time.Hour)
	s := stopped(autostart("0 9 * * *"), set(func(s *lifecycle.Snapshot) { s.Template.Rules = 99 }))
	ruleCase{s: apply(s, lifecycle.Rearm(s, now)), from: now, want: "autostart: start", at: monday.Add(2 * day)}.check(t)
}

// Holidays in the first year hold nothing that never happens.
func TestHolidaysOfTheFirstYearMoveNothing(t *testing.T) {
	s := stopped()
	dates, err := schedule.ParseDates("0001-01-01")
	must(err)
	_, moves, _ := lifecycle.PlanPolicy(s, changed(s, func(p *lifecycle.Policy) { p.Holidays, p.HolidaysHold = dates, lifecycle.HoldAll }), monday)
	if len(moves) > 0 {
		t.Errorf("moves %+v", moves)
	}
}

// A change leaves no floor where nothing acts sooner, or not before its grace is over.
func TestFloorsAreLeftWhereTheyHold(t *testing.T) {
	soon := running(deadline(monday.Add(time.Hour)))
	sleeps := stopped(asleep(monday.Add(20*day)), tilDeleted(20*day))
	for name, c := range map[string]struct {
		s      lifecycle.Snapshot
		change func(*lifecycle.Policy)
	}{
		"another change":             {soon, func(p *lifecycle.Policy) { p.ReminderLead = time.Hour }},
		"later":                      {stopped(tilDormant(time.Hour)), func(p *lifecycle.Policy) { p.TimeTilDormant = 90 * time.Minute }},
		"sooner, but after the end":  {sleeps, func(p *lifecycle.Policy) { p.TimeTilAutodelete = 10 * day }},
		"with the end of the grace":  {running(), func(p *lifecycle.Policy) { p.AllowUserTTL, p.DefaultTTL = false, time.Hour }},
		"dormancy, with its end":     {stopped(), func(p *lifecycle.Policy) { p.TimeTilDormant = 2 * time.Hour }},
		"a cleanup, at the same end": {newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), failureTTL(time.Hour)), func(p *lifecycle.Policy) { p.ReminderLead = time.Hour }},
	} {
		if f := followed(t, c.s, monday, c.change).Workspace.Floors; f != (lifecycle.Floors{}) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// A workspace that has skipped policies gets the longest grace of them.
func TestTheLongestGraceOfSkippedPolicies(t *testing.T) {
	long := lifecycle.PolicyTerms{StopGrace: 10 * time.Hour, DeleteGrace: 50 * time.Hour}
	short := lifecycle.PolicyTerms{StopGrace: time.Hour, DeleteGrace: time.Hour}
	for name, c := range map[string]struct {
		first, second lifecycle.PolicyTerms
		want          time.Duration
	}{
		"usual, short": {lifecycle.PolicyTerms{}, short, 2 * time.Hour}, "long, short": {long, short, 10 * time.Hour},
		"short, long": {short, long, 10 * time.Hour}, "short": {short, short, time.Hour},
	} {
		s := running()
		for n, terms := range []lifecycle.PolicyTerms{c.first, c.second} {
			s = replaced(t, s, monday, func(tm *lifecycle.Template) {
				terms.At = monday.Add(time.Duration(n) * us)
				tm.Terms, tm.Policy.MaxRuntime = terms, time.Duration(n+1)*time.Minute
			})
		}
		s = apply(s, lifecycle.Rearm(s, monday))
		if want := monday.Add(c.want); !s.Build.Deadline.Equal(want) {
			t.Errorf("%s: stopped at %v, want %v", name, s.Build.Deadline, want)
		}
	}
}

// A plan says what it changes before its template has the policy and after, and nothing of what it does not.
func TestPlanPolicySaysWhatChanges(t *testing.T) {
	hour := func(p *lifecycle.Policy) { p.MaxRuntime = time.Hour }
	for name, c := range map[string]struct {
		s      lifecycle.Snapshot
		change func(*lifecycle.Policy)
		ok     bool
		moves  int
	}{
		"nothing":         {running(), func(p *lifecycle.Policy) { p.MinExtend = time.Hour }, false, 0},
		"the run":         {running(), hour, true, 1},
		"the workspace":   {stopped(), func(p *lifecycle.Policy) { p.DeleteStopped = 30 * day }, true, 2},
		"needs attention": {running(deadline(monday.Add(time.Hour)), workspace(func(w *lifecycle.Workspace) { w.AttentionAt = monday })), func(p *lifecycle.Policy) { p.DeleteStopped = 30 * day }, false, 0},
		"the extension":   {running(autostart("0 9 * * *"), ttl(8*time.Hour), deadline(monday.Add(30*time.Hour))), extends, false, 1},
		"asleep before":   {running(deadline(monday.Add(9*time.Hour)), tilDormant(3*time.Hour)), func(p *lifecycle.Policy) { p.DeleteStopped = day }, false, 0},
	} {
		c.s.Template.Revision = 1
		plan, err := lifecycle.NewPolicyPlan(c.s.Template, changed(c.s, c.change), monday)
		must(err)
		put := c.s
		put.Template = must1(lifecycle.ReplaceTemplate(c.s.Template, must1(plan.Next(c.s.Template)), monday))
		for when, s := range map[string]lifecycle.Snapshot{"before": c.s, "after": put} {
			_, moves, ok := lifecycle.PlanPolicy(s, plan.Change, monday)
			if ok != c.ok || len(moves) != c.moves {
				t.Errorf("%s, %s: changes %t, moves %v", name, when, ok, moves)
			}
		}
	}
}
