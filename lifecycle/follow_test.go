package lifecycle_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// replaced is a workspace after its template was put with another policy.
func replaced(t testing.TB, s lifecycle.Snapshot, now time.Time, change func(*lifecycle.Template)) lifecycle.Snapshot {
	t.Helper()
	if s.Template.Revision == 0 {
		s.Template.Revision = 1
	}
	next := s.Template
	change(&next)
	tm, err := lifecycle.ReplaceTemplate(s.Template, next, now)
	if err != nil {
		t.Fatal(err)
	}
	s.Template = tm
	return s
}

func withPolicy(change func(*lifecycle.Policy)) func(*lifecycle.Template) {
	return func(t *lifecycle.Template) { change(&t.Policy) }
}

// graces are the least times that a change leaves before it brings something closer.
var graces = map[lifecycle.Rule]time.Duration{
	lifecycle.RuleAutostop: 2 * time.Hour, lifecycle.RuleFailedCleanup: 2 * time.Hour,
	lifecycle.RuleDormancy: 2 * time.Hour, lifecycle.RuleAutodelete: 24 * time.Hour,
}

// actsOf is when each destructive rule acts if nothing else changes. The stop of a suspended owner's workspace, which leaves no
// grace, is none.
func actsOf(s lifecycle.Snapshot, now time.Time) map[lifecycle.Rule]time.Time {
	acts := map[lifecycle.Rule]time.Time{}
	for _, r := range lifecycle.Explain(s, now).Rules {
		if _, destructive := graces[r.Rule]; destructive {
			acts[r.Rule] = r.ChangesAt
		}
	}
	if s.Owner.Status == lifecycle.OwnerSuspended {
		delete(acts, lifecycle.RuleAutostop)
	}
	return acts
}

// actsAhead is actsOf, with the deletion that follows what other rules do before, and with what stands for it where that
// cannot be said.
func actsAhead(s lifecycle.Snapshot, now, unknown time.Time) map[lifecycle.Rule]time.Time {
	acts := actsOf(s, now)
	if acts[lifecycle.RuleAutodelete].IsZero() {
		acts[lifecycle.RuleAutodelete] = deletedAfter(s, now, unknown)
	}
	return acts
}

// deletedAfter is when a workspace is deleted after what its rules do to it before, with jobs that take no time; zero for not,
// and unknown if it is started before.
func deletedAfter(s lifecycle.Snapshot, now, unknown time.Time) time.Time {
	p := s.Template.Policy
	if s.Build.Status.Active() || p.TimeTilAutodelete <= 0 && p.DeleteStopped <= 0 && !p.DeleteAtDeadline {
		return time.Time{}
	}
	for range 12 {
		if now = lifecycle.NextWake(s, now); now.IsZero() {
			return time.Time{}
		}
		d := lifecycle.Decide(s, now)
		switch {
		case d.Transition == lifecycle.TransitionDelete:
			return now
		case d.Transition == lifecycle.TransitionStart:
			return unknown
		case !d.Acts():
			return time.Time{}
		}
		if s = apply(s, lifecycle.Apply(s, d, now)); s.Build.Status.Active() {
			c, err := lifecycle.JobEnded(lifecycle.JobResult{BuildID: s.Build.ID, Status: lifecycle.JobSucceeded})(s, now)
			must(err)
			s = apply(s, c)
		}
	}
	return unknown
}

// checkGrace checks that no destructive rule acts sooner than before without the grace that counts from the commit.
func checkGrace(t *testing.T, what string, before, after map[lifecycle.Rule]time.Time, commit time.Time) {
	t.Helper()
	for rule, to := range after {
		from := before[rule]
		if sooner := !to.IsZero() && (from.IsZero() || to.Before(from)); sooner && to.Before(commit.Truncate(us).Add(graces[rule])) {
			t.Errorf("%s: %v moves from %v to %v, %v after the commit", what, rule, from, to, to.Sub(commit))
		}
	}
}

// eachField calls do with the policy that has one field of another one, for every field there is.
func eachField(a, b lifecycle.Policy, do func(name string, p lifecycle.Policy)) {
	v := reflect.ValueOf(&a).Elem()
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		p := a
		reflect.ValueOf(&p).Elem().Field(i).Set(reflect.ValueOf(b).Field(i))
		do(v.Type().Field(i).Name, p)
	}
}

// Every field of a policy, in both directions, leaves its grace: what makes a rule act sooner is compared, not guessed.
func TestEveryFieldOfAPolicyLeavesGrace(t *testing.T) {
	t.Parallel()
	moved := map[string]int{}
	eachRandom(t, 3_000, func(t *testing.T, r random, s lifecycle.Snapshot) {
		now, old := r.set(), s.Template.Policy
		was := map[time.Time]map[lifecycle.Rule]time.Time{}
		eachField(old, r.policy(), func(name string, p lifecycle.Policy) {
			if p == old || p.Validate() != nil {
				return
			}
			// The commit is some time after the change of the template, and the change of the template after a plan.
			commit := now.Add(pick[time.Duration](r, 0, time.Minute, 30*time.Minute))
			if was[commit] == nil {
				was[commit] = actsAhead(s, commit, commit)
			}
			changed := replaced(t, s, now, withPolicy(func(old *lifecycle.Policy) { *old = p }))
			changed = apply(changed, lifecycle.Rearm(changed, commit))
			after := actsAhead(changed, commit, time.Time{})
			checkGrace(t, name, was[commit], after, commit)
			if !maps.Equal(was[commit], after) {
				moved[name]++
			}
			if again, ok := lifecycle.Adapt(changed, commit); ok {
				t.Errorf("%s: following twice changes %+v", name, again)
			}
		})
	})
	for _, name := range []string{"DefaultTTL", "FailureTTL", "TimeTilDormant", "TimeTilAutodelete", "Requirement", "Jitter", "Holidays", "Retry", "MaxRuntime", "DeleteStopped", "DeleteAtDeadline", "HolidaysHold"} {
		if moved[name] == 0 {
			t.Errorf("no random change of %s moves anything: the check says nothing about it", name)
		}
	}
}

// A tick at any moment of a change's way to the workspace stops and deletes nothing that the change brings closer.
func TestATickBeforeTheWorkspaceFollows(t *testing.T) {
	eachRandom(t, 5_000, func(t *testing.T, r random, s lifecycle.Snapshot) {
		now := r.set()
		if s.Owner.Status == lifecycle.OwnerSuspended || lifecycle.Decide(s, now).Acts() {
			return
		}
		next := r.policy()
		if next.Validate() != nil {
			return
		}
		changed := replaced(t, s, now, withPolicy(func(p *lifecycle.Policy) { *p = next }))
		for range 5 {
			now = now.Add(pick[time.Duration](r, 0, time.Minute, 20*time.Minute))
			was, is := lifecycle.Decide(s, now), lifecycle.Decide(changed, now)
			if _, destructive := graces[is.Rule]; destructive && was.Rule != is.Rule && !was.Acts() {
				t.Fatalf("at %v a tick decides %s, without the change %s\n%v", now, words(is), words(was), lifecycle.Explain(changed, now))
			}
		}
	})
}

// The graces count from the commit that changes the workspace, not from the plan.
func TestGraceCountsFromTheCommit(t *testing.T) {
	s := stopped(asleep(monday.Add(50*day)), tilDeleted(60*day))
	s.Workspace.DormantAt = monday.Add(-10 * day)
	plan, err := lifecycle.NewPolicyPlan(s.Template, changed(s, func(p *lifecycle.Policy) { p.TimeTilAutodelete = day }), monday)
	must(err)
	plan.Add(s)
	if plan.Shifts[lifecycle.RuleAutodelete].Sooner != 1 {
		t.Errorf("plan %+v", plan)
	}
	wednesday := monday.Add(2 * day)
	next, err := plan.Next(s.Template)
	must(err)
	s = replaced(t, s, wednesday, func(tm *lifecycle.Template) { *tm = next; tm.Revision = 1 })
	must(plan.Check(s.Template))
	friday := monday.Add(4 * day)
	change, ok := lifecycle.Adapt(s, friday)
	if !ok || !change.Workspace.DeletingAt.Equal(friday.Add(day)) || told(change.Events) != "notice/workspace.deletion_moved audit/workspace.deletion_moved " {
		t.Errorf("changed %t, deleted at %v, told %s", ok, change.Workspace.DeletingAt, told(change.Events))
	}
}

// checkGraceOf is checkGrace with the graces of terms.
func checkGraceOf(t *testing.T, terms lifecycle.PolicyTerms, before, after map[lifecycle.Rule]time.Time, commit time.Time) {
	t.Helper()
	for rule, to := range after {
		grace, from := terms.StopGrace, before[rule]
		if rule == lifecycle.RuleAutodelete {
			grace = terms.DeleteGrace
		}
		if sooner := !to.IsZero() && (from.IsZero() || to.Before(from)); sooner && to.Before(commit.Add(grace)) {
			t.Errorf("%v moves from %v to %v, %v after the commit, with a grace of %v", rule, from, to, to.Sub(commit), grace)
		}
	}
}

// putPlan is a plan that was put, and when.
type putPlan struct {
	lifecycle.PolicyPlan
	at time.Time
}

// changes is a template whose policy is changed by several plans, and its workspaces, which follow now and then.
type changes struct {
	t        *testing.T
	r        random
	now      time.Time
	template lifecycle.Template
	fleet    []lifecycle.Snapshot
	plans    []lifecycle.PolicyPlan
	put      []putPlan
}

func (c *changes) plan() {
	terms := lifecycle.PolicyTerms{
		ResetLastUsed: c.r.yes(30), ResetDormant: c.r.yes(30),
		StopGrace: pick[time.Duration](c.r, 0, time.Hour, 10*time.Hour), DeleteGrace: pick[time.Duration](c.r, 0, 2*time.Hour, 50*time.Hour),
	}
	p, err := lifecycle.NewPolicyPlan(c.template, lifecycle.PolicyChange{Policy: valid(c.r), PolicyTerms: terms}, c.now)
	must(err)
	c.plans = append(c.plans, p)
}

// apply puts a plan that was made, or resumes it. One that is not the newest any more says so at every step.
func (c *changes) apply(p lifecycle.PolicyPlan) {
	newest := len(c.put) > 0 && c.put[len(c.put)-1].Change.At.Equal(p.Change.At)
	next, err := p.Next(c.template)
	switch fresh := c.template.Rules == p.Change.Template.Rules; {
	case newest || fresh:
		must(err)
	case !errors.Is(err, lifecycle.ErrPolicyChanged) || !errors.Is(p.Check(c.template), lifecycle.ErrPolicyChanged):
		c.t.Fatalf("an older plan goes on: %v, %v", err, p.Check(c.template))
	}
	if err != nil {
		return
	}
	c.template, err = lifecycle.ReplaceTemplate(c.template, next, c.now)
	must(err)
	must(p.Check(c.template))
	if !newest {
		c.put = append(c.put, putPlan{p, c.now})
	}
}

// follow has one workspace follow: a tick, a verb, or a plan that has come to it.
func (c *changes) follow(i int) {
	was := c.fleet[i]
	s := was
	s.Template = c.template
	change, behind := lifecycle.Adapt(s, c.now)
	if !behind {
		return
	}
	s = apply(s, change)
	c.fleet[i] = s
	if again, ok := lifecycle.Adapt(s, c.now); ok {
		c.t.Fatalf("following twice changes %+v", again)
	}
	if s.Workspace.Deleted || s.Workspace.Managed {
		return
	}
	if s.Template.Policy != c.put[len(c.put)-1].Change.Policy || s.Workspace.Seen.Template != c.template.Rules {
		c.t.Fatalf("the workspace follows %d of %d", s.Workspace.Seen.Template, c.template.Rules)
	}
	checkGraceOf(c.t, c.put[len(c.put)-1].Change.PolicyTerms, actsAhead(was, c.now, c.now), actsAhead(s, c.now, time.Time{}), c.now)
	for _, p := range c.put {
		if followed := was.Workspace.Seen.Template > p.Change.Template.Rules; followed {
			continue
		}
		if p.Change.ResetLastUsed && s.Workspace.LastUsedAt.Before(p.at) {
			c.t.Fatalf("last used at %v: the reset at %v is lost", s.Workspace.LastUsedAt, p.at)
		}
		if p.Change.ResetDormant && !s.Workspace.DormantAt.IsZero() && s.Workspace.DormantAt.Before(p.at) {
			c.t.Fatalf("dormant since %v: the reset at %v is lost", s.Workspace.DormantAt, p.at)
		}
	}
}

// Plans over one template, put in any interleaving, resumed at any point, with workspaces that follow at any moment and so
// may skip some: what holds at the end is what the newest policy and its graces say, no reset of any of them is lost, and a
// plan that is not the newest says so at every step.
func TestPlansInAnyInterleaving(t *testing.T) {
	t.Parallel()
	skipped := 0
	eachRandom(t, 3_000, func(t *testing.T, r random, one lifecycle.Snapshot) {
		c := &changes{t: t, r: r, now: r.set(), template: one.Template}
		c.template.Revision = 1
		for n := range 4 {
			s := r.snapshot()
			s.Template, s.Workspace.ID = c.template, id(n)
			c.fleet = append(c.fleet, s)
		}
		for range 2 + r.IntN(12) {
			c.now = c.now.Add(pick[time.Duration](r, us, time.Minute, 30*time.Minute)).Truncate(us)
			switch {
			case len(c.plans) == 0 || r.yes(30):
				c.plan()
			case r.yes(50):
				c.apply(c.plans[r.IntN(len(c.plans))])
			case len(c.put) > 0:
				c.follow(r.IntN(len(c.fleet)))
			}
		}
		for i := range c.fleet {
			if c.template.Rules > c.fleet[i].Workspace.Seen.Template+1 {
				skipped++
			}
			c.follow(i)
		}
	})
	if skipped < 500 {
		t.Errorf("only %d workspaces have skipped a policy: the check says little", skipped)
	}
}

// valid is a policy that nobody refuses.
func valid(r random) lifecycle.Policy {
	for {
		if p := r.policy(); p.Validate() == nil {
			return p
		}
	}
}

// A promotion, a hold or a name changes nothing of the policy's graces, and a stale write is refused.
func TestReplaceTemplate(t *testing.T) {
	s := stopped(tilDormant(7 * day))
	s.Template.Revision = 4
	tm := replaced(t, s, monday, withPolicy(func(p *lifecycle.Policy) { p.TimeTilDormant = time.Hour })).Template
	if tm.Revision != 5 || tm.Rules != 1 || tm.Previous == nil || tm.Previous.Policy.TimeTilDormant != 7*day {
		t.Errorf("template %+v", tm)
	}
	promoted := tm
	promoted.ActiveVersionID, promoted.Previous, promoted.Rules, promoted.Floors = id(9), nil, 77, lifecycle.Floors{Stop: monday}
	next, err := lifecycle.ReplaceTemplate(tm, promoted, monday)
	must(err)
	if next.Rules != tm.Rules || next.Previous != tm.Previous || next.Floors != tm.Floors || next.ActiveVersionID != id(9) || next.Revision != 6 {
		t.Errorf("a host that promotes a version overwrites the engine's state: %+v", next)
	}
	promoted.Revision = 4
	if _, err = lifecycle.ReplaceTemplate(tm, promoted, monday); !errors.Is(err, lifecycle.ErrStaleTemplate) {
		t.Errorf("a stale write: %v", err)
	}
	days := tm
	days.Policy.TimeTilDormant, days.Policy.TimeTilAutodelete = 14, 30
	if _, err = lifecycle.ReplaceTemplate(tm, days, monday); !errors.Is(err, invalid.Err) {
		t.Errorf("nanoseconds where days were meant: %v", err)
	}
	// A policy that cannot be read stands in nobody's way.
	bad := tm
	bad.Policy = lifecycle.ReadPolicy([]byte(`{"default_ttl":"until tea"}`))
	bad.Policy.FailureTTL = 1
	through := bad
	through.ActiveVersionID = id(8)
	if _, err = lifecycle.ReplaceTemplate(bad, through, monday); err != nil {
		t.Errorf("a version is promoted over a stored policy: %v", err)
	}
}

// What widens what counts as an occurrence arms the first one after it.
func TestWideningStartsNothingAtOnce(t *testing.T) {
	friday, sunday := at("2026-03-06 18:00"), at("2026-03-08 15:00")
	weekdays := policy(func(p *lifecycle.Policy) {
		p.AutostartDays = schedule.DaysOf(time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday)
	})
	nine := with(autostart("0 9 * * *"), build(func(b *lifecycle.Build) { b.CreatedAt, b.CompletedAt = friday, friday }))
	for name, c := range map[string]struct {
		s      lifecycle.Snapshot
		change func(*lifecycle.Template)
	}{
		"days":     {stopped(nine, weekdays), withPolicy(func(p *lifecycle.Policy) { p.AutostartDays = schedule.AllDays })},
		"allowed":  {stopped(nine, policy(func(p *lifecycle.Policy) { p.AllowUserAutostart = false })), withPolicy(func(p *lifecycle.Policy) { p.AllowUserAutostart = true })},
		"holidays": {stopped(nine, holidays("2026-03-07..2026-03-20")), withPolicy(func(p *lifecycle.Policy) { p.Holidays = nil })},
		"a hold":   {stopped(nine, templateHeld(at("2026-03-20 00:00"))), func(tm *lifecycle.Template) { tm.Hold = lifecycle.Hold{} }},
	} {
		s := replaced(t, c.s, sunday, c.change)
		s = apply(s, lifecycle.Rearm(s, sunday))
		ruleCase{name: name, s: s, from: sunday, want: "autostart: start", at: at("2026-03-09 09:00")}.check(t)
	}
	s := stopped(nine, owner(lifecycle.OwnerSuspended))
	o := s.Owner
	o.Status = lifecycle.OwnerActive
	var err error
	s.Owner, err = lifecycle.ReplaceOwner(s.Owner, o, sunday)
	must(err)
	ruleCase{name: "owner", s: s, from: sunday, want: "autostart: start", at: at("2026-03-09 09:00")}.check(t)
	// A policy that changes something else loses no start that is due.
	s = replaced(t, stopped(nine), at("2026-03-07 09:00").Add(time.Second), withPolicy(func(p *lifecycle.Policy) { p.ReminderLead = time.Hour }))
	expect(t, s, at("2026-03-07 09:01"), "autostart: start")
}

// New quiet hours reach the workspace that runs, with the grace.
func TestNewQuietHoursReachTheRun(t *testing.T) {
	s := running(deadlines(at("2026-03-03 03:00"), at("2026-03-03 03:00")), quietHours("0 3 * * *", schedule.AllDays, 1))
	for spec, want := range map[string]time.Time{
		"0 5 * * *": at("2026-03-03 05:00"), "0 2 * * *": at("2026-03-03 02:00"), "0 10 * * *": at("2026-03-03 10:00"),
	} {
		o := s.Owner
		o.QuietHours = must1(schedule.Daily(spec))
		var err error
		moved := s
		moved.Owner, err = lifecycle.ReplaceOwner(s.Owner, o, monday)
		must(err)
		moved = apply(moved, lifecycle.Rearm(moved, monday))
		ruleCase{name: spec, s: moved, want: stop, at: want}.check(t)
	}
}

// The end of a hold, natural or early, leaves two hours before dormancy and a day before deletion, with a notice.
func TestTheEndOfAHoldLeavesGrace(t *testing.T) {
	june := at("2026-06-01 00:00")
	s := do(t, stopped(tilDeleted(day), asleep(monday.Add(7*day))), monday, lifecycle.SetHold(lifecycle.Hold{Until: june}))
	ruleCase{name: "natural", s: s, want: "delete_reminder", at: june}.check(t)
	c := lifecycle.Apply(s, lifecycle.Decide(s, june), june)
	if told(c.Events) != "notice/workspace.deletion_upcoming " || !c.Events[0].Until.Equal(june.Add(day)) {
		t.Errorf("told %s, until %v", told(c.Events), c.Events[0].Until)
	}
	ruleCase{name: "reminded", s: apply(s, c), from: june, want: "autodelete: delete", at: june.Add(day)}.check(t)

	april := at("2026-04-01 12:00")
	s = do(t, s, april, lifecycle.SetHold(lifecycle.Hold{}))
	s = after(t, s, april) // the reminder
	ruleCase{name: "by hand", s: s, from: april, want: "autodelete: delete", at: april.Add(day)}.check(t)

	s = do(t, stopped(tilDormant(day)), monday, lifecycle.SetHold(lifecycle.Hold{Until: june}))
	ruleCase{name: "dormancy, natural", s: s, want: "dormancy: dormant", at: june.Add(2 * time.Hour)}.check(t)
	s = do(t, s, april, lifecycle.SetHold(lifecycle.Hold{Until: june, Rules: lifecycle.HoldStarts}))
	ruleCase{name: "dormancy, freed by another hold", s: s, from: april, want: "dormancy: dormant", at: april.Add(2 * time.Hour)}.check(t)

	s = replaced(t, stopped(tilDormant(day), templateHeld(june)), april, func(tm *lifecycle.Template) { tm.Hold = lifecycle.Hold{} })
	ruleCase{name: "dormancy, template", s: s, from: april, want: "dormancy: dormant", at: april.Add(2 * time.Hour)}.check(t)
	e, err := lifecycle.ReplaceEngine(lifecycle.Engine{Hold: lifecycle.Hold{Until: june}}, lifecycle.Engine{}, april)
	must(err)
	s = stopped(tilDormant(day))
	s.Engine = e
	ruleCase{name: "dormancy, engine", s: s, from: april, want: "dormancy: dormant", at: april.Add(2 * time.Hour)}.check(t)
}

// After every end of a hold, whoever set it and however it ends, the graces stand.
func TestEveryEndOfAHoldLeavesGrace(t *testing.T) {
	t.Parallel()
	eachRandom(t, 5_000, func(t *testing.T, r random, s lifecycle.Snapshot) {
		now, until := r.set(), r.set()
		h := lifecycle.Hold{Until: until, Rules: lifecycle.HoldRules(r.IntN(16))}
		s.Workspace.Hold, s.Template.Hold, s.Engine = lifecycle.Hold{}, lifecycle.Hold{}, lifecycle.Engine{}
		where := pick(r, "workspace", "template", "engine")
		switch where {
		case "workspace":
			s.Workspace.Hold = h
		case "template":
			s.Template.Hold, s.Template.Revision = h, 1
		case "engine":
			s.Engine.Hold = h
		}
		freed := s
		next := pick(r, lifecycle.Hold{}, lifecycle.Hold{Until: now.Add(time.Hour), Rules: lifecycle.HoldRules(r.IntN(16))})
		var err error
		switch where {
		case "workspace":
			c, verbErr := lifecycle.SetHold(next)(s, now)
			if verbErr != nil {
				return
			}
			freed = apply(s, c)
		case "template":
			freed = replaced(t, s, now, func(tm *lifecycle.Template) { tm.Hold = next })
		case "engine":
			freed.Engine, err = lifecycle.ReplaceEngine(s.Engine, lifecycle.Engine{Hold: next}, now)
			must(err)
		}
		before, after := actsOf(s, now), actsOf(freed, now)
		delete(before, lifecycle.RuleAutostop) // a stop that was held happens at the end
		delete(after, lifecycle.RuleAutostop)
		delete(after, lifecycle.RuleFailedCleanup)
		checkGrace(t, fmt.Sprintf("%s: %+v instead of %+v", where, next, h), before, after, now)
	})
}

func TestDeletionOffIsItsOwnEvent(t *testing.T) {
	s := replaced(t, stopped(asleep(monday.Add(5*day)), tilDeleted(7*day)), monday, withPolicy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = 0 }))
	c := lifecycle.Rearm(s, monday)
	if got := told(c.Events); got != "notice/workspace.deletion_off audit/workspace.deletion_off " || !c.Workspace.DeletingAt.IsZero() {
		t.Errorf("told %s, deleted at %v", got, c.Workspace.DeletingAt)
	}
}

func TestPlanRefusesBadTerms(t *testing.T) {
	for _, terms := range []lifecycle.PolicyTerms{{StopGrace: -time.Hour}, {DeleteGrace: -1}} {
		_, err := lifecycle.NewPolicyPlan(lifecycle.Template{}, lifecycle.PolicyChange{PolicyTerms: terms}, monday)
		if !errors.Is(err, invalid.Err) {
			t.Errorf("terms %+v: %v", terms, err)
		}
	}
}
