package executor_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

func TestPlanAndApply(t *testing.T) {
	f := newFleet(t)
	for n := 1; n <= 25; n++ {
		s := stopped(asleep(monday.Add(20*day)), policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = 20 * day }))
		f.add(numbered(n, s))
	}
	e := f.executor(executor.Config{PageSize: 10, BatchSize: 4}, nil)
	plan, err := e.Plan(f.ctx, id(0xff), lifecycle.PolicyChange{Policy: lifecycle.Policy{TimeTilAutodelete: 3 * day}})
	f.must(err)
	shift := plan.Shifts[lifecycle.RuleAutodelete]
	if plan.Workspaces != 25 || plan.Changed != 25 || plan.Affected != 25 || shift.Sooner != 25 || len(plan.Effects) != 25 {
		t.Errorf("plan: %+v", plan)
	}
	if f.load(1).Template.Policy.TimeTilAutodelete != 20*day || !f.load(1).Workspace.DeletingAt.Equal(monday.Add(20*day)) {
		t.Error("a plan has written something")
	}

	// Somebody stops it half-way, and it goes on from there.
	var last lifecycle.PolicyPlan
	ctx, cancel := context.WithCancel(f.ctx)
	_, err = e.Apply(ctx, plan, func(p lifecycle.PolicyPlan) { last = p; cancel() })
	if err == nil || last.Done || last.Applied == 0 || last.Applied == 25 {
		t.Fatalf("apply went on after its context ended: %v, applied %d, done %v", err, last.Applied, last.Done)
	}
	done, err := e.Apply(f.ctx, last, nil)
	f.must(err)
	if !done.Done || done.Applied != 25 {
		t.Errorf("apply: done %v, applied %d", done.Done, done.Applied)
	}
	for n := 1; n <= 25; n++ {
		s := f.load(n)
		if s.Template.Policy.TimeTilAutodelete != 3*day || !s.Workspace.DeletingAt.Equal(monday.Add(3*day)) {
			t.Errorf("workspace %d: deleted at %v under a policy of %v", n, s.Workspace.DeletingAt, s.Template.Policy.TimeTilAutodelete)
		}
	}
	again, err := e.Apply(f.ctx, plan, nil)
	f.must(err)
	if again.Applied != 0 {
		t.Errorf("applying a plan again changes %d workspaces", again.Applied)
	}
}

func TestApplyRefusesAnotherTemplate(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped()))
	e := f.executor(executor.Config{}, nil)
	plan, err := e.Plan(f.ctx, id(0xff), lifecycle.PolicyChange{Policy: lifecycle.Policy{TimeTilDormant: day}})
	f.must(err)
	tm := f.load(1).Template
	tm.Policy.ActivityBump = 5 * time.Hour
	f.must(f.store.PutTemplate(f.ctx, monday, tm))
	if _, err = e.Apply(f.ctx, plan, nil); !errors.Is(err, lifecycle.ErrPolicyChanged) {
		t.Errorf("applying a plan made for another policy: %v", err)
	}
	if _, err = e.Plan(f.ctx, id(0x77), lifecycle.PolicyChange{}); !errors.Is(err, lifecycle.ErrNotFound) {
		t.Errorf("planning for an unknown template: %v", err)
	}
	bad := lifecycle.PolicyChange{Policy: lifecycle.Policy{TimeTilDormant: time.Second}}
	if _, err = e.Plan(f.ctx, id(0xff), bad); err == nil {
		t.Error("planning a policy that is invalid passes")
	}
}

// A tick brings workspaces in line with a new policy that was simply put, with its graces, and writes no event that nobody
// receives.
func TestATickFollowsAPolicy(t *testing.T) {
	for _, heard := range []bool{false, true} {
		f := newFleet(t)
		s := stopped(asleep(monday.Add(20*day)), policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = 20 * day }))
		f.add(numbered(1, s))
		cfg := executor.Config{}
		if heard {
			cfg.Topics = []lifecycle.Topic{lifecycle.TopicNotice}
		}
		e := f.executor(cfg, nil)
		tm := f.load(1).Template
		tm.Policy.TimeTilAutodelete = day
		later := monday.Add(10 * day)
		f.must(f.store.PutTemplate(f.ctx, later, tm))
		f.must(e.Tick(f.ctx, later.Add(time.Hour)).Err)
		if got := f.load(1).Workspace; !got.DeletingAt.Equal(later.Add(time.Hour + day)) {
			t.Errorf("deleted at %v, want a day after the tick", got.DeletingAt)
		}
		backlog, err := f.store.Backlog(f.ctx, later)
		f.must(err)
		if (backlog.Events == 1) != heard {
			t.Errorf("%d events, heard %t", backlog.Events, heard)
		}
	}
}

// A workspace whose change the store refuses stops no other, is listed, and is tried again.
func TestApplyListsWhatIsRejected(t *testing.T) {
	f := newFleet(t)
	for n := 1; n <= 9; n++ {
		f.add(numbered(n, stopped(asleep(monday.Add(20*day)), policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = 20 * day }))))
	}
	refusal := errors.New("no space left on row")
	bad := map[uuid.UUID]bool{id(3): true, id(8): true}
	store := &hooked{Store: f.store, commit: func(changes []lifecycle.Change) error {
		for i := range changes {
			if bad[changes[i].Workspace.ID] {
				return &lifecycle.ChangeError{WorkspaceID: changes[i].Workspace.ID, Err: refusal}
			}
		}
		return nil
	}}
	e := f.executor(executor.Config{PageSize: 4}, store)
	plan, err := e.Plan(f.ctx, id(0xff), lifecycle.PolicyChange{Policy: lifecycle.Policy{TimeTilAutodelete: 3 * day}})
	f.must(err)
	plan, err = e.Apply(f.ctx, plan, nil)
	f.must(err)
	if plan.Done || plan.Applied != 7 || !slices.Equal(plan.Rejected, []uuid.UUID{id(3), id(8)}) {
		t.Errorf("done %t, applied %d, rejected %v", plan.Done, plan.Applied, plan.Rejected)
	}
	delete(bad, id(3))
	plan, err = e.Apply(f.ctx, plan, nil)
	f.must(err)
	if plan.Done || plan.Applied != 8 || !slices.Equal(plan.Rejected, []uuid.UUID{id(8)}) {
		t.Errorf("again: done %t, applied %d, rejected %v", plan.Done, plan.Applied, plan.Rejected)
	}
	delete(bad, id(8))
	plan, err = e.Apply(f.ctx, plan, nil)
	f.must(err)
	if !plan.Done || plan.Applied != 9 || len(plan.Rejected) > 0 || !f.load(8).Workspace.DeletingAt.Equal(monday.Add(3*day)) {
		t.Errorf("at last: done %t, applied %d, rejected %v", plan.Done, plan.Applied, plan.Rejected)
	}
}

// A plan that is applied long after it was made writes no wake before the clock of who applies it: a store that reads what is
// due above a bound counts on that, and would find such a workspace a quarter of an hour late.
func TestApplyWakesAtItsOwnInstant(t *testing.T) {
	f := newFleet(t)
	dies := policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = 20 * day })
	for n := 1; n <= 4; n++ {
		f.add(numbered(n, stopped(asleep(monday.Add(20*day)), dies)))
	}
	f.add(numbered(5, running(dies, deadline(monday.Add(time.Hour)))))
	written := 0
	e := f.executor(executor.Config{}, &hooked{Store: f.store, commit: func(changes []lifecycle.Change) error {
		for i := range changes {
			written++
			if wake := changes[i].Workspace.WakeAt; wake.Before(f.clock.Now()) {
				t.Errorf("a wake at %v is written at %v", wake, f.clock.Now())
			}
		}
		return nil
	}})
	plan, err := e.Plan(f.ctx, id(0xff), lifecycle.PolicyChange{Policy: lifecycle.Policy{TimeTilAutodelete: 3 * day}})
	f.must(err)
	late := monday.Add(10 * day)
	f.clock.Set(late)
	done, err := e.Apply(f.ctx, plan, nil)
	f.must(err)
	if !done.Done || written != 5 {
		t.Fatalf("done %t, %d workspaces written", done.Done, written)
	}
	if w := f.load(1).Workspace; !w.DeletingAt.Equal(late.Add(day)) {
		t.Errorf("deleted at %v, want a grace of a day from when the plan is applied", w.DeletingAt)
	}
	if w := f.load(5).Workspace; !w.WakeAt.Equal(late) {
		t.Errorf("a stop that is overdue is looked at at %v, want %v", w.WakeAt, late)
	}
}
