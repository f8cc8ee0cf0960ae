package lifecycle_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// dormancyPlan is a plan that gives the template of a workspace a dormancy threshold.
func dormancyPlan(t *testing.T, s lifecycle.Snapshot, threshold time.Duration) lifecycle.PolicyPlan {
	t.Helper()
	next := s.Template.Policy
	next.TimeTilDormant = threshold
	p, err := lifecycle.NewPolicyPlan(s.Template, lifecycle.PolicyChange{Policy: next}, monday)
	must(err)
	return p
}

// A plan counts the workspaces, those that change, and how each rule's instant moves.
func TestPlanCounts(t *testing.T) {
	dormant := func(threshold time.Duration) lifecycle.Snapshot {
		return stopped(policy(func(p *lifecycle.Policy) { p.TimeTilDormant = threshold }), workspace(func(w *lifecycle.Workspace) { w.LastUsedAt = monday }))
	}
	for name, c := range map[string]struct {
		was, is time.Duration
		want    lifecycle.Shift
	}{
		"begins": {0, 30 * day, lifecycle.Shift{Begins: 1}},
		"ends":   {30 * day, 0, lifecycle.Shift{Ends: 1}},
		"sooner": {30 * day, 20 * day, lifecycle.Shift{Sooner: 1}},
		"later":  {20 * day, 30 * day, lifecycle.Shift{Later: 1}},
	} {
		s := dormant(c.was)
		p := dormancyPlan(t, s, c.is)
		p.Add(s)
		if got := p.Shifts[lifecycle.RuleDormancy]; got != c.want || p.Workspaces != 1 || p.Affected != 1 || len(p.Effects) != 1 || p.Effects[0].WorkspaceID != s.Workspace.ID {
			t.Errorf("%s: %+v of %+v", name, got, p)
		}
		if p.Change.StopGrace != 2*time.Hour || p.Change.DeleteGrace != 24*time.Hour || !p.Change.PolicyTerms.At.Equal(monday) {
			t.Errorf("%s: terms %+v", name, p.Change.PolicyTerms)
		}
	}
	same := dormant(day * 30)
	p := dormancyPlan(t, same, 30*day)
	p.Add(same)
	if p.Workspaces != 1 || p.Affected != 0 || len(p.Effects) != 0 || len(p.Shifts) != 0 {
		t.Errorf("of what stays: %+v", p)
	}
	p = dormancyPlan(t, same, 20*day)
	for range 1002 {
		p.Add(same)
	}
	if p.Workspaces != 1002 || p.Affected != 1002 || len(p.Effects) != 1000 {
		t.Errorf("%d workspaces, %d affected, %d listed", p.Workspaces, p.Affected, len(p.Effects))
	}
}

// Changed are those whose row differs, whatever moves.
func TestPlanCountsWhatIsStored(t *testing.T) {
	s := running(deadline(monday.Add(9*time.Hour)), policy(func(p *lifecycle.Policy) { p.DefaultTTL, p.AllowUserTTL = 9*time.Hour, false }))
	next := s.Template.Policy
	next.DefaultTTL = 0
	p, err := lifecycle.NewPolicyPlan(s.Template, lifecycle.PolicyChange{Policy: next}, monday)
	must(err)
	p.Add(s)
	if p.Changed != 1 {
		t.Errorf("changed: %d", p.Changed)
	}
	s = stopped()
	p = dormancyPlan(t, s, 30*day)
	p.Add(s)
	if p.Affected != 1 || p.Changed != 0 || p.Workspaces != 1 {
		t.Errorf("changed: %d of %d", p.Changed, p.Workspaces)
	}
}

// Immediate are those for which a rule acts within the hour, and would not have.
func TestPlanCountsWhatIsImmediate(t *testing.T) {
	for name, c := range map[string]struct {
		was, is, grace time.Duration
		immediate      int
	}{
		"within the hour":     {30 * day, day, 59 * time.Minute, 1},
		"at the hour":         {30 * day, day, time.Hour, 0},
		"after the hour":      {30 * day, day, 2 * time.Hour, 0},
		"it would have acted": {10*day + 30*time.Minute, day, 10 * time.Minute, 0},
	} {
		s := stopped(policy(func(p *lifecycle.Policy) { p.TimeTilDormant = c.was }),
			workspace(func(w *lifecycle.Workspace) { w.CreatedAt, w.LastUsedAt = monday.Add(-10*day), monday.Add(-10*day) }))
		next := s.Template.Policy
		next.TimeTilDormant = c.is
		p, err := lifecycle.NewPolicyPlan(s.Template, lifecycle.PolicyChange{Policy: next, PolicyTerms: lifecycle.PolicyTerms{StopGrace: c.grace}}, monday)
		must(err)
		p.Add(s)
		if got := p.Shifts[lifecycle.RuleDormancy]; got.Immediate != c.immediate || got.Sooner != 1 {
			t.Errorf("%s: %+v, effects %+v", name, got, p.Effects)
		}
	}
}

// A plan is for the policy that it was made for, and is refused after any other change; it signs what it does.
func TestPlanOfAnotherPolicy(t *testing.T) {
	s := stopped()
	s.Template.Rules, s.Template.Revision = 4, 9
	p := dormancyPlan(t, s, 30*day)
	p.Actor, p.Note = "ann", "less waste"
	next, err := p.Next(s.Template)
	must(err)
	if next.Rules != 5 || next.Policy.TimeTilDormant != 30*day || p.Check(next) != nil {
		t.Errorf("the template %+v, %v", next, p.Check(next))
	}
	if _, err := p.Next(next); err != nil {
		t.Errorf("what has the policy: %v", err)
	}
	for name, change := range map[string]func(*lifecycle.Template){
		"another change since":     func(tm *lifecycle.Template) { tm.Rules++ },
		"another change of it":     func(tm *lifecycle.Template) { tm.Terms.At = monday.Add(us) },
		"the one before, restored": func(tm *lifecycle.Template) { tm.Rules-- },
	} {
		other := next
		change(&other)
		if err := p.Check(other); !errors.Is(err, lifecycle.ErrPolicyChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var e lifecycle.Event
	if p.Sign(&e); e.Actor != "ann" || e.Note != "less waste" {
		t.Errorf("signed %+v", e)
	}
	for n := range 1002 {
		p.Reject(id(n))
	}
	if len(p.Rejected) != 1000 || p.Rejected[999] != id(999) {
		t.Errorf("%d are listed", len(p.Rejected))
	}
	bad := lifecycle.PolicyChange{PolicyTerms: lifecycle.PolicyTerms{StopGrace: -1}}
	if _, err := lifecycle.NewPolicyPlan(s.Template, bad, monday); !errors.Is(err, invalid.Err) {
		t.Errorf("terms that are none: %v", err)
	}
}
