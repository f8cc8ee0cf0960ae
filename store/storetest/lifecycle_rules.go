package storetest

import (
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// testStaleTemplate has two writers of one template: the second one must see what the first one wrote.
func testStaleTemplate(f *fixture) {
	first, second := f.template, f.template
	first.ActiveVersionID = uuid.New()
	f.put(epoch, &first)
	second.Policy.TimeTilDormant = time.Hour
	err := f.s.PutTemplate(f.ctx, epoch, second)
	f.rule(errors.Is(err, lifecycle.ErrStaleTemplate), "a template that was written meanwhile is not overwritten: error %v", err)
	again := f.template
	again.Revision = 0
	err = f.s.PutTemplate(f.ctx, epoch, again)
	f.rule(errors.Is(err, lifecycle.ErrStaleTemplate), "a template that exists is not created again: error %v", err)
	got := f.create(1)[0].Template
	f.rule(got.ActiveVersionID == first.ActiveVersionID && got.Policy.TimeTilDormant == 0 && got.Revision == first.Revision,
		"a stale write changes nothing: got %+v", got)
}

// testPolicyRefused has policies, holds and workspaces that nobody can mean.
func testPolicyRefused(f *fixture) {
	far := time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)
	for field, change := range map[string]func(*lifecycle.Template){
		"Policy.TimeTilDormant": func(t *lifecycle.Template) { t.Policy.TimeTilDormant = 14 },
		"Policy.DefaultTTL":     func(t *lifecycle.Template) { t.Policy.DefaultTTL = -time.Hour },
		"Policy.AutostartDays":  func(t *lifecycle.Template) { t.Policy.AutostartDays = 0xff },
		"Hold.Until":            func(t *lifecycle.Template) { t.Hold.Until = far },
	} {
		bad := f.template
		change(&bad)
		f.refusedField(field, f.s.PutTemplate(f.ctx, epoch, bad))
	}
	for field, change := range map[string]func(*lifecycle.Workspace){
		"Workspace.TTL":        func(w *lifecycle.Workspace) { w.TTL = 10 * 365 * 24 * time.Hour },
		"Workspace.LastUsedAt": func(w *lifecycle.Workspace) { w.LastUsedAt = far },
		"Workspace.Hold.Rules": func(w *lifecycle.Workspace) { w.Hold.Rules = 99 },
	} {
		w := f.workspace()
		change(&w)
		f.refusedField(field, f.s.CreateWorkspaces(f.ctx, epoch, w))
		found, err := f.s.Load(f.ctx, w.ID)
		f.must(err)
		f.rule(len(found) == 0, "a workspace that is refused is not created")
	}
	got := f.create(1)[0].Template
	f.rule(got.Revision == f.template.Revision, "a template that is refused is not written: revision %d", got.Revision)
}

func (f *fixture) refusedField(field string, err error) {
	f.Helper()
	var e *invalid.Error
	f.rule(errors.As(err, &e) && e.Field == field, "%s out of range is refused by name: error %v", field, err)
}

// testPolicyFollowed has a policy whose change is to leave a grace to the workspaces that exist, and none to new ones.
func testPolicyFollowed(f *fixture) {
	f.template.Policy.TimeTilDormant = time.Hour
	old := f.create(1)[0]
	f.put(epoch, &f.template)
	old = f.load(old.Workspace.ID)
	fresh := f.create(1)[0]
	f.rule(old.Workspace.Seen.Template+1 == old.Template.Rules, "a new policy is one that its workspaces do not follow yet: %d of %d", old.Workspace.Seen.Template, old.Template.Rules)
	f.rule(fresh.Workspace.Seen.Template == fresh.Template.Rules, "a new workspace follows the policy that it finds: %d of %d", fresh.Workspace.Seen.Template, fresh.Template.Rules)
	p := old.Template.Previous
	f.rule(p != nil && p.Rules == old.Workspace.Seen.Template && p.Policy.TimeTilDormant == 0, "a template remembers the policy before: got %+v", p)
	f.commit(lifecycle.Rearm(old, epoch))
	old = f.load(old.Workspace.ID)
	f.rule(old.Workspace.Seen.Template == old.Template.Rules, "a workspace that was looked at follows the policy")
	old.Template.ActiveVersionID = uuid.New()
	promoted := old.Template
	f.put(epoch.Add(time.Minute), &promoted)
	f.template = promoted
	got := f.load(old.Workspace.ID)
	f.rule(got.Template.Rules == old.Template.Rules && got.Template.Previous != nil, "a promotion leaves the policy's state alone")
}

// testPolicySkipped has a workspace that sleeps through three changes of its policy.
func testPolicySkipped(f *fixture) {
	s := f.create(1)[0]
	change := func(dormant time.Duration, terms lifecycle.PolicyTerms) {
		f.template.Policy.TimeTilDormant, f.template.Terms = dormant, terms
		f.put(epoch, &f.template)
	}
	change(time.Hour, lifecycle.PolicyTerms{At: epoch, ResetLastUsed: true, StopGrace: 30 * time.Hour})
	change(2*time.Hour, lifecycle.PolicyTerms{At: epoch.Add(time.Second)})
	change(3*time.Hour, lifecycle.PolicyTerms{At: epoch.Add(2 * time.Second)})
	got := f.load(s.Workspace.ID)
	var known []time.Duration
	for p := got.Template.Previous; p != nil; p = p.Previous {
		known = append(known, p.Policy.TimeTilDormant)
	}
	f.rule(len(known) == 3 && known[0] == 2*time.Hour && known[1] == time.Hour && known[2] == 0,
		"a template remembers several policies before its own, the latest first: got %v", known)
	later := epoch.Add(4 * time.Hour)
	f.commit(lifecycle.Rearm(got, later))
	got = f.load(s.Workspace.ID)
	f.rule(got.Workspace.LastUsedAt.Equal(later), "a reset of a policy that was skipped is not lost: last used %v", got.Workspace.LastUsedAt)
	f.rule(got.Template.Previous.Previous.Terms.StopGrace == 30*time.Hour, "nor are its graces: %+v", got.Template.Previous.Previous.Terms)
}

// testOwnerReturns has an owner who was suspended, and new quiet hours.
func testOwnerReturns(f *fixture) {
	f.owner.Status = lifecycle.OwnerSuspended
	f.must(f.s.PutOwner(f.ctx, epoch, f.owner))
	f.owner.Status = lifecycle.OwnerActive
	back := epoch.Add(time.Hour)
	f.must(f.s.PutOwner(f.ctx, back, f.owner))
	f.owner.Name = "ann again"
	f.must(f.s.PutOwner(f.ctx, back.Add(time.Hour), f.owner))
	got := f.create(1)[0].Owner
	f.rule(got.AutostartAfter.Equal(back) && got.Name == "ann again", "what an owner missed until she was active again is over: got %+v", got)
}

// testEngineHeld holds everything, and lets it go again.
func testEngineHeld(f *fixture) {
	h := skipUnless[lifecycle.Holder](f)
	got, err := h.Engine(f.ctx)
	f.must(err)
	f.rule(got == lifecycle.Engine{}, "nothing is held at first: got %+v", got)
	all := f.create(3)
	for _, s := range all {
		f.commit(wakeAt(s, time.Time{}))
	}
	want := lifecycle.Engine{Hold: lifecycle.Hold{Until: epoch.Add(48 * time.Hour), Rules: lifecycle.HoldDeletion, Note: "incident", By: "ops"}}
	f.must(h.PutEngine(f.ctx, epoch, want))
	f.rule(len(f.due(epoch, 10, lifecycle.Shard{})) == 3, "a change of what concerns all makes all due")
	s := f.load(all[0].Workspace.ID)
	f.rule(s.Engine == want, "a snapshot has what concerns all: got %+v", s.Engine)
	f.rule(f.commit(wakeAt(all[0], epoch))[0] == lifecycle.Conflict, "what was decided without the hold is a conflict")
	f.rule(f.commit(wakeAt(s, epoch))[0] == lifecycle.Applied, "what was decided with it is applied")
	f.must(h.PutEngine(f.ctx, epoch.Add(time.Hour), lifecycle.Engine{}))
	got, err = h.Engine(f.ctx)
	f.must(err)
	f.rule(got.Hold == lifecycle.Hold{} && got.Floors.Delete.Equal(epoch.Add(25*time.Hour)), "a hold that ends early leaves a day before deletions: got %+v", got)
	f.rule(f.load(all[0].Workspace.ID).Engine == got, "a snapshot has it at once")
	f.refusedField("Engine.Hold.Note", h.PutEngine(f.ctx, epoch, lifecycle.Engine{Hold: lifecycle.Hold{Note: strings.Repeat("x", 1000)}}))
}
