package lifecycle_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// What a policy refuses is in TestRefusals.
func TestPolicyValidateAccepts(t *testing.T) {
	good := lifecycle.Policy{FailureTTL: time.Minute, TimeTilDormant: time.Minute, AutostartDays: schedule.AllDays}
	if err := good.Validate(); err != nil {
		t.Errorf("a good policy: %v", err)
	}
	constant := lifecycle.Policy{
		Retry:      lifecycle.Retry{Initial: time.Hour, MaxInterval: time.Hour},
		StartRetry: lifecycle.StartRetry{Initial: time.Hour, MaxInterval: time.Hour},
	}
	if err := constant.Validate(); err != nil {
		t.Errorf("pauses that do not grow: %v", err)
	}
	if err := (lifecycle.Policy{}).Validate(); err != nil {
		t.Errorf("the zero policy: %v", err)
	}
}

// planned is the workspace after a policy change on monday.
func planned(s lifecycle.Snapshot, c lifecycle.PolicyChange) lifecycle.Snapshot {
	c.At, c.Template = monday, s.Template
	change, _, _ := lifecycle.PlanPolicy(s, c, monday)
	s.Workspace, s.Build = change.Workspace, change.Build
	return s
}

func changed(s lifecycle.Snapshot, change func(p *lifecycle.Policy)) lifecycle.PolicyChange {
	p := s.Template.Policy
	change(&p)
	return lifecycle.PolicyChange{Policy: p}
}

func graced(c lifecycle.PolicyChange, stop time.Duration) lifecycle.PolicyChange {
	c.StopGrace = stop
	return c
}

// A reset of dormancy lets those sleep longer that sleep, and puts nobody to sleep.
func TestPlanPolicyResetsThoseThatSleep(t *testing.T) {
	for name, s := range map[string]lifecycle.Snapshot{"stopped": stopped(), "running": running(), "dormant": stopped(asleep(time.Time{}))} {
		c := changed(s, func(p *lifecycle.Policy) { p.ActivityBump = time.Hour })
		c.ResetDormant, c.At, c.Template = true, monday.Add(day), s.Template
		change, _, _ := lifecycle.PlanPolicy(s, c, c.At)
		want := time.Time{}
		if !s.Workspace.DormantAt.IsZero() {
			want = c.At
		}
		if got := change.Workspace.DormantAt; !got.Equal(want) {
			t.Errorf("%s: dormant since %v, want %v", name, got, want)
		}
	}
}

func TestPlanPolicyDeletion(t *testing.T) {
	week := policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = 7 * day })
	sleeping := func(dormant, deleting time.Time) lifecycle.Snapshot {
		s := stopped(week, asleep(deleting))
		s.Workspace.DormantAt = dormant
		return s
	}
	days := func(n int) func(*lifecycle.Policy) {
		return func(p *lifecycle.Policy) { p.TimeTilAutodelete = time.Duration(n) * day }
	}
	long := sleeping(monday.Add(-5*day), monday.Add(2*day))
	for _, c := range []struct {
		name string
		s    lifecycle.Snapshot
		c    lifecycle.PolicyChange
		want time.Time
	}{
		{"an unrelated change moves nothing", long, changed(long, func(p *lifecycle.Policy) { p.ActivityBump = time.Hour }), monday.Add(2 * day)},
		{"longer counts from when it went dormant", long, changed(long, days(30)), monday.Add(25 * day)},
		{"off means never", long, changed(long, days(0)), time.Time{}},
		{"shorter counts from when it went dormant", long, changed(long, days(6)), monday.Add(1 * day)},
		{"what would be past leaves a day", long, changed(long, days(1)), monday.Add(1 * day)},
		{
			"the grace is the change's own", long,
			func() lifecycle.PolicyChange { c := changed(long, days(1)); c.DeleteGrace = 36 * time.Hour; return c }(),
			monday.Add(36 * time.Hour),
		},
		{
			"the grace postpones nothing that was promised sooner",
			sleeping(monday.Add(-6*day-20*time.Hour), monday.Add(4*time.Hour)),
			changed(long, days(1)), monday.Add(4 * time.Hour),
		},
		{
			"a reset counts from the change", long,
			func() lifecycle.PolicyChange { c := changed(long, days(7)); c.ResetDormant = true; return c }(),
			monday.Add(7 * day),
		},
		{
			"on again leaves a day too", sleeping(monday.Add(-50*day), time.Time{}),
			func() lifecycle.PolicyChange {
				s := sleeping(monday.Add(-50*day), time.Time{})
				s.Template.Policy.TimeTilAutodelete = 0
				return changed(s, days(7))
			}(),
			time.Time{},
		},
	} {
		if c.name == "on again leaves a day too" {
			c.s.Template.Policy.TimeTilAutodelete = 0
			c.want = monday.Add(day)
		}
		if got := planned(c.s, c.c).Workspace.DeletingAt; !got.Equal(c.want) {
			t.Errorf("%s: deleted at %v, want %v", c.name, got, c.want)
		}
	}
}

func TestPlanPolicyDeadlines(t *testing.T) {
	ttl := func(d time.Duration, own bool) edit {
		return policy(func(p *lifecycle.Policy) { p.DefaultTTL, p.AllowUserTTL = d, own })
	}
	eight := running(ttl(8*time.Hour, false), deadline(monday.Add(8*time.Hour)), quietHours("0 12 * * *", 0, 0))
	capped := running(ttl(0, false), deadlines(monday.Add(3*time.Hour), monday.Add(3*time.Hour)), quietHours("0 12 * * *", schedule.AllDays, 1))
	since := build(func(b *lifecycle.Build) { b.RunSince = monday.Add(-20 * time.Hour) })
	unlimited := running(ttl(0, false), quietHours("0 10 * * *", 0, 0))
	later := running(ttl(0, false), since, quietHours("0 11 * * *", 0, 0))
	imminent := running(ttl(0, false), since, deadlines(monday.Add(time.Hour), monday.Add(time.Hour)), policy(func(p *lifecycle.Policy) { p.MaxRuntime = 21 * time.Hour }))
	for _, c := range []struct {
		name          string
		s             lifecycle.Snapshot
		c             lifecycle.PolicyChange
		want, wantMax time.Time
	}{
		{
			"another TTL leaves the running deadline", eight,
			changed(eight, func(p *lifecycle.Policy) { p.DefaultTTL = time.Hour }), monday.Add(8 * time.Hour),
			time.Time{},
		},
		{
			"no TTL leaves no deadline", eight,
			changed(eight, func(p *lifecycle.Policy) { p.DefaultTTL = 0 }),
			time.Time{},
			time.Time{},
		},
		{
			"a new requirement caps", eight,
			changed(eight, func(p *lifecycle.Policy) { p.Requirement.Days = schedule.AllDays }), at("2026-03-02 12:00"), at("2026-03-02 12:00"),
		},
		{
			"a requirement that is gone takes its cap along", capped,
			changed(capped, func(p *lifecycle.Policy) { p.Requirement = schedule.Requirement{} }),
			time.Time{},
			time.Time{},
		},
		{
			"a TTL that begins leaves the grace", unlimited,
			changed(unlimited, func(p *lifecycle.Policy) { p.DefaultTTL = time.Hour }), monday.Add(2 * time.Hour),
			time.Time{},
		},
		{
			"a TTL that begins and ends after the grace", unlimited,
			changed(unlimited, func(p *lifecycle.Policy) { p.DefaultTTL = 5 * time.Hour }), monday.Add(5*time.Hour + time.Minute),
			time.Time{},
		},
		{
			"a longest run leaves the grace", unlimited,
			changed(unlimited, func(p *lifecycle.Policy) { p.MaxRuntime = time.Hour }), monday.Add(2 * time.Hour), monday.Add(2 * time.Hour),
		},
		{
			"a stop that is imminent is left alone", imminent,
			changed(imminent, func(p *lifecycle.Policy) { p.MaxRuntime = time.Minute }), monday.Add(time.Hour), monday.Add(time.Hour),
		},
		{
			"quiet hours within the grace wait for the next ones", unlimited,
			changed(unlimited, func(p *lifecycle.Policy) { p.Requirement = schedule.Requirement{Days: schedule.AllDays, Weeks: 1} }),
			at("2026-03-03 10:00"), at("2026-03-03 10:00"),
		},
		{
			"quiet hours that begin with the end of the grace come then", later,
			changed(later, func(p *lifecycle.Policy) { p.Requirement = schedule.Requirement{Days: schedule.AllDays, Weeks: 1} }),
			at("2026-03-02 11:00"), at("2026-03-02 11:00"),
		},
		{
			"quiet hours within a longer grace come with the first after it", unlimited,
			graced(changed(unlimited, func(p *lifecycle.Policy) { p.Requirement = schedule.Requirement{Days: schedule.AllDays, Weeks: 1} }), day),
			at("2026-03-03 10:00"), at("2026-03-03 10:00"),
		},
		{
			"quiet hours on one day of the week", unlimited,
			changed(unlimited, func(p *lifecycle.Policy) { p.Requirement = schedule.Requirement{Days: 1, Weeks: 1} }),
			at("2026-03-09 10:00"), at("2026-03-09 10:00"),
		},
		{
			"an unrelated change gives no deadline", unlimited,
			changed(unlimited, func(p *lifecycle.Policy) { p.ActivityBump = time.Hour }),
			time.Time{},
			time.Time{},
		},
		{
			"an unrelated change moves nothing", capped,
			changed(capped, func(p *lifecycle.Policy) { p.ActivityBump = time.Hour }), monday.Add(3 * time.Hour), monday.Add(3 * time.Hour),
		},
	} {
		got := planned(c.s, c.c).Build
		if !got.Deadline.Equal(c.want) || !got.MaxDeadline.Equal(c.wantMax) {
			t.Errorf("%s: deadline %v, max %v; want %v, %v", c.name, got.Deadline, got.MaxDeadline, c.want, c.wantMax)
		}
	}
}

// What a plan says of each rule that a policy has: which one moves, from when to when.
func TestPlanPolicyMoves(t *testing.T) {
	owned := policy(func(p *lifecycle.Policy) { p.AllowUserTTL = false })
	eight := policy(func(p *lifecycle.Policy) { p.DefaultTTL = 8 * time.Hour })
	noon, completed := at("2026-03-02 12:00"), monday.Add(time.Minute)
	since := func(ago time.Duration, edits ...edit) lifecycle.Snapshot {
		return running(with(edits...), build(func(b *lifecycle.Build) {
			b.CreatedAt, b.CompletedAt, b.RunSince = monday.Add(-ago), monday.Add(-ago), monday.Add(-ago)
		}))
	}
	capped := with(quietHours("0 12 * * *", schedule.AllDays, 1), deadlines(noon, noon))
	noRequirement := func(p *lifecycle.Policy) { p.Requirement = schedule.Requirement{} }
	ttl := func(p *lifecycle.Policy) { p.DefaultTTL = 8 * time.Hour }
	run := func(p *lifecycle.Policy) { p.MaxRuntime = 10 * time.Hour }
	week := func(p *lifecycle.Policy) { p.DeleteStopped = 7 * day }
	atDeadline := func(p *lifecycle.Policy) { p.DeleteAtDeadline = true }
	var never time.Time
	for name, c := range map[string]struct {
		s        lifecycle.Snapshot
		change   func(*lifecycle.Policy)
		rule     lifecycle.Rule
		from, to time.Time
	}{
		"a TTL begins":                       {since(time.Hour, owned), ttl, lifecycle.RuleAutostop, never, monday.Add(7 * time.Hour)},
		"a TTL begins, of a long run":        {since(20*time.Hour, owned), ttl, lifecycle.RuleAutostop, never, monday.Add(2 * time.Hour)},
		"a requirement goes":                 {running(capped, owned), noRequirement, lifecycle.RuleAutostop, noon, never},
		"a requirement goes, a TTL stays":    {running(capped, owned, eight), noRequirement, lifecycle.RuleAutostop, noon, completed.Add(8 * time.Hour)},
		"MaxRuntime":                         {since(time.Hour), run, lifecycle.RuleAutostop, never, monday.Add(9 * time.Hour)},
		"MaxRuntime, of a long run":          {since(20*time.Hour, deadline(noon.Add(day))), run, lifecycle.RuleAutostop, noon.Add(day), monday.Add(2 * time.Hour)},
		"DeleteStopped":                      {stopped(), week, lifecycle.RuleAutodelete, never, completed.Add(7*day + us)},
		"DeleteStopped, notice":              {stopped(), week, lifecycle.RuleDeleteReminder, never, completed.Add(6*day + us)},
		"DeleteStopped, running":             {running(deadline(noon)), week, lifecycle.RuleAutodelete, never, noon.Add(7*day + us)},
		"DeleteStopped, as it falls asleep":  {running(deadline(noon), tilDormant(3*time.Hour-us)), week, lifecycle.RuleAutodelete, never, noon.Add(7*day + us)},
		"DeleteAtDeadline, falling asleep":   {running(deadline(noon.Add(2*day)), tilDormant(2*day+3*time.Hour-us)), atDeadline, lifecycle.RuleAutodelete, never, noon.Add(2*day + us)},
		"DeleteStopped, suspended":           {running(owner(lifecycle.OwnerSuspended)), week, lifecycle.RuleAutodelete, never, monday.Add(7*day + us)},
		"DeleteAtDeadline":                   {running(deadline(noon.Add(2 * day))), atDeadline, lifecycle.RuleAutodelete, never, noon.Add(2*day + us)},
		"DeleteAtDeadline, soon":             {running(deadline(noon)), atDeadline, lifecycle.RuleAutodelete, never, monday.Add(day)},
		"DormantWhenSuspended":               {stopped(owner(lifecycle.OwnerSuspended)), func(p *lifecycle.Policy) { p.DormantWhenSuspended = true }, lifecycle.RuleDormancy, never, monday.Add(2 * time.Hour)},
		"HolidaysHold":                       {running(deadline(noon), holidays("2026-03-02")), func(p *lifecycle.Policy) { p.HolidaysHold = lifecycle.HoldAll }, lifecycle.RuleAutostop, noon, at("2026-03-03 00:00")},
		"AutostartDays":                      {stopped(autostart("0 9 * * *")), func(p *lifecycle.Policy) { p.AutostartDays = schedule.DaysOf(time.Friday) }, lifecycle.RuleAutostart, monday.Add(day), at("2026-03-06 09:00")},
		"TimeTilDormant, and what it brings": {stopped(tilDormant(60*day), tilDeleted(time.Hour)), func(p *lifecycle.Policy) { p.TimeTilDormant = time.Minute }, lifecycle.RuleAutodelete, completed.Add(60*day + time.Hour - time.Minute + 2*us), monday.Add(day)},
	} {
		change := changed(c.s, c.change)
		must(change.Policy.Validate())
		plan, err := lifecycle.NewPolicyPlan(c.s.Template, change, monday)
		must(err)
		plan.Add(c.s)
		var got lifecycle.Move
		for _, e := range plan.Effects {
			for _, m := range e.Moves {
				if m.Rule == c.rule {
					got = m
				}
			}
		}
		if want := (lifecycle.Move{Rule: c.rule, From: c.from, To: c.to}); got != want || plan.Shifts[c.rule] == (lifecycle.Shift{}) {
			t.Errorf("%s: moves %v from %v to %v, want %v from %v to %v; counted %+v", name, got.Rule, got.From, got.To, want.Rule, want.From, want.To, plan.Shifts)
		}
	}
}

// A cap that would be past, or near, waits for the quiet hours after the grace.
func TestPlanPolicyRequirementLeavesGrace(t *testing.T) {
	s := running(deadline(monday.Add(30*time.Hour)), quietHours("30 9 * * *", 0, 0),
		build(func(b *lifecycle.Build) {
			b.CreatedAt, b.CompletedAt, b.RunSince = monday.Add(-2*day), monday.Add(-2*day), monday.Add(-2*day)
		}))
	s.Workspace.TTL = 8 * time.Hour
	got := planned(s, changed(s, func(p *lifecycle.Policy) { p.Requirement.Days = schedule.AllDays })).Build
	if want := at("2026-03-03 09:30"); !got.Deadline.Equal(want) || !got.MaxDeadline.Equal(want) {
		t.Errorf("deadline %v, max %v; want %v", got.Deadline, got.MaxDeadline, want)
	}
}

// TestPlanPolicyLeavesGrace checks, on random workspaces and policies, that nothing destructive comes sooner than before
// without its grace, and that planning again on the result moves nothing.
func TestPlanPolicyLeavesGrace(t *testing.T) {
	grace := map[lifecycle.Rule]time.Duration{
		lifecycle.RuleAutostop: 2 * time.Hour, lifecycle.RuleFailedCleanup: 2 * time.Hour,
		lifecycle.RuleDormancy: 2 * time.Hour, lifecycle.RuleAutodelete: 24 * time.Hour,
	}
	moved := map[lifecycle.Rule]int{}
	eachRandom(t, 20_000, func(t *testing.T, r random, s lifecycle.Snapshot) {
		now := r.instant()
		next := s.Template.Policy
		// One or two values at a time, as people do.
		other := r.policy()
		switch r.IntN(6) {
		case 0:
			next.TimeTilDormant = other.TimeTilDormant
		case 1:
			next.TimeTilAutodelete = other.TimeTilAutodelete
		case 2:
			next.FailureTTL = other.FailureTTL
		case 3:
			next.Requirement = other.Requirement
		case 4:
			next.DefaultTTL, next.AllowUserTTL = other.DefaultTTL, other.AllowUserTTL
		case 5:
			next.Holidays = other.Holidays
		}
		c := lifecycle.PolicyChange{
			At: now, Template: s.Template, Policy: next,
			PolicyTerms: lifecycle.PolicyTerms{ResetLastUsed: r.yes(10), ResetDormant: r.yes(10)},
		}
		change, moves, _ := lifecycle.PlanPolicy(s, c, now)
		for _, m := range moves {
			g, destructive := grace[m.Rule]
			if !destructive || m.To.IsZero() {
				continue
			}
			if m.Rule == lifecycle.RuleAutostop && s.Owner.Status == lifecycle.OwnerSuspended {
				continue // stops at once whatever the policy; only holds keep it
			}
			moved[m.Rule]++
			if sooner := m.From.IsZero() || m.To.Before(m.From); sooner && m.To.Before(now.Truncate(us).Add(g)) {
				t.Errorf("%v moves from %v to %v, which is %v after the change\nof %+v\nto %+v", m.Rule, m.From, m.To, m.To.Sub(now), s, next)
			}
		}
		after := s
		after.Workspace, after.Build = change.Workspace, change.Build
		again, _, _ := lifecycle.PlanPolicy(after, c, now)
		if again.Workspace.DeletingAt != change.Workspace.DeletingAt || again.Build != change.Build || again.Workspace.TTL != change.Workspace.TTL {
			t.Errorf("planning again moves something: %+v, then %+v", change, again)
		}
	})
	for rule := range grace {
		if moved[rule] == 0 {
			t.Errorf("no random change moves %v: the check says nothing about it", rule)
		}
	}
}
