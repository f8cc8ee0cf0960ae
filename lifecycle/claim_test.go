package lifecycle_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

var bob = lifecycle.Owner{ID: id(0xb0b), Name: "bob"}

func managed(w *lifecycle.Workspace) { w.Managed = true }

func TestClaimBeginsTheLifecycle(t *testing.T) {
	now := monday.Add(50 * time.Hour) // the member was ready for two days
	pooled := running(workspace(managed), asleep(monday.Add(day)), policy(func(p *lifecycle.Policy) { p.DefaultTTL = 8 * time.Hour }),
		workspace(func(w *lifecycle.Workspace) {
			w.Hold.Until, w.RemindedFor, w.AttentionAt, w.Failures = now.Add(day), monday, monday, 3
			w.Backoff = lifecycle.Backoff{Until: now.Add(day), Attempts: 2}
		}))
	s := do(t, pooled, now, lifecycle.Claim(lifecycle.Handover{Owner: bob, Name: "api", Autostart: weekly("0 9 * * *")}))
	w := s.Workspace
	if w.Managed || w.OwnerID != bob.ID || w.Name != "api" || w.TTL != 8*time.Hour || w.Autostart == nil {
		t.Errorf("claimed: %+v", w)
	}
	if !w.LastUsedAt.Equal(now) || !w.AutostartAfter.Equal(now) || !s.Build.Deadline.Equal(now.Add(8*time.Hour)) {
		t.Errorf("used %v, starts after %v, stops at %v", w.LastUsedAt, w.AutostartAfter, s.Build.Deadline)
	}
	if !w.DormantAt.IsZero() || !w.DeletingAt.IsZero() || !w.Hold.Until.IsZero() || !w.RemindedFor.IsZero() || !w.AttentionAt.IsZero() ||
		w.Failures != 0 || w.Backoff != (lifecycle.Backoff{}) {
		t.Errorf("what was the pool's is left: %+v", w)
	}
	if !w.WakeAt.Equal(now.Add(8 * time.Hour)) {
		t.Errorf("wakes at %v, want its deadline", w.WakeAt)
	}
	// No rule acted on it before, and none acts at once.
	if d := lifecycle.Decide(s, now); d.Rule != lifecycle.RuleNone {
		t.Errorf("decided %+v at the claim", d)
	}
}

func TestClaimKeepsWhatIsNotGiven(t *testing.T) {
	s := do(t, running(workspace(managed)), monday.Add(time.Hour), lifecycle.Claim(lifecycle.Handover{Owner: bob}))
	if s.Workspace.Name != "dev" || s.Workspace.Autostart != nil || !s.Build.Deadline.IsZero() {
		t.Errorf("claimed: %+v, stops at %v", s.Workspace, s.Build.Deadline)
	}
	s = do(t, running(workspace(managed)), monday.Add(time.Hour), lifecycle.Claim(lifecycle.Handover{Owner: bob, TTL: 2 * time.Hour}))
	if want := monday.Add(3 * time.Hour); !s.Build.Deadline.Equal(want) {
		t.Errorf("stops at %v, want %v", s.Build.Deadline, want)
	}
}

func TestClaimRefuses(t *testing.T) {
	claim := func(h lifecycle.Handover) lifecycle.Verb { return lifecycle.Claim(h) }
	whole := lifecycle.Handover{Owner: bob}
	now := monday.Add(time.Hour)
	refuse(t, "nobody", running(workspace(managed)), now, claim(lifecycle.Handover{}), nil)
	refuse(t, "suspended", running(workspace(managed)), now,
		claim(lifecycle.Handover{Owner: lifecycle.Owner{ID: bob.ID, Status: lifecycle.OwnerSuspended}}), nil)
	refuse(t, "somebody else's", running(), now, claim(whole), lifecycle.ErrClaimed)
	refuse(t, "his own already", running(workspace(func(w *lifecycle.Workspace) { w.OwnerID = bob.ID })), now, claim(whole), lifecycle.ErrUnchanged)
	refuse(t, "deleted", running(workspace(managed), workspace(func(w *lifecycle.Workspace) { w.Deleted = true })), now, claim(whole), lifecycle.ErrDeleted)
	refuse(t, "stopped", stopped(workspace(managed)), now, claim(whole), lifecycle.ErrNotClaimable)
	refuse(t, "starting", newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning), workspace(managed)), now, claim(whole), lifecycle.ErrNotClaimable)
	fixed := running(workspace(managed), policy(func(p *lifecycle.Policy) { p.AllowUserTTL, p.AllowUserAutostart = false, false }))
	refuse(t, "ttl", fixed, now, claim(lifecycle.Handover{Owner: bob, TTL: time.Hour}), lifecycle.ErrForbidden)
	refuse(t, "autostart", fixed, now, claim(lifecycle.Handover{Owner: bob, Autostart: weekly("0 9 * * *")}), lifecycle.ErrForbidden)
	refuse(t, "a ttl that is none", running(workspace(managed)), now, claim(lifecycle.Handover{Owner: bob, TTL: time.Second}), nil)
}

// The claim is told to those who audit: who has the workspace now, and until when it runs.
func TestClaimIsAudited(t *testing.T) {
	now := monday.Add(time.Hour)
	c, err := lifecycle.Claim(lifecycle.Handover{Owner: bob, TTL: 2 * time.Hour})(running(workspace(managed)), now)
	if err != nil || len(c.Events) != 1 {
		t.Fatalf("%d events, error %v", len(c.Events), err)
	}
	if e := c.Events[0]; e.Kind != lifecycle.EventClaimed || e.Topic != lifecycle.TopicAudit || e.Message != "claimed by bob" ||
		!e.Until.Equal(now.Add(2*time.Hour)) {
		t.Errorf("event %+v", e)
	}
}

// A commit concerns each workspace once, and the error blames the one that it does not.
func TestValidateBatch(t *testing.T) {
	of := func(ids ...int) (changes []lifecycle.Change) {
		for _, n := range ids {
			changes = append(changes, lifecycle.Change{Workspace: lifecycle.Workspace{ID: id(n)}})
		}
		return changes
	}
	for _, batch := range [][]lifecycle.Change{nil, of(1), of(1, 2), of(3, 1, 2)} {
		if err := lifecycle.ValidateBatch(batch); err != nil {
			t.Errorf("%d workspaces: %v", len(batch), err)
		}
	}
	for _, batch := range [][]lifecycle.Change{of(2, 2), of(1, 2, 3, 2)} {
		var bad *lifecycle.ChangeError
		if err := lifecycle.ValidateBatch(batch); !errors.As(err, &bad) || bad.WorkspaceID != id(2) || !errors.Is(err, invalid.Err) {
			t.Errorf("%d changes, workspace 2 twice: %v", len(batch), err)
		}
	}
}

// A workspace that is given back is as it was before the claim: the manager's, and of no rule's concern.
func TestGiveBack(t *testing.T) {
	now := monday.Add(2 * time.Hour)
	manager := lifecycle.Owner{ID: id(0xabc), Name: "pool", Rules: 4}
	claimed := running(autostart("0 9 * * *"), deadline(monday.Add(3*time.Hour)), heldUntil(monday.Add(day)),
		policy(func(p *lifecycle.Policy) { p.DefaultTTL = 8 * time.Hour }))
	c, err := lifecycle.GiveBack(manager, "pool-7")(claimed, now)
	if err != nil {
		t.Fatal(err)
	}
	w := c.Workspace
	if !c.Claims || !w.Managed || w.OwnerID != manager.ID || w.Name != "pool-7" || w.Autostart != nil || w.Seen.Owner != 4 || w.Hold != (lifecycle.Hold{}) {
		t.Errorf("claims %v, given back: %+v", c.Claims, w)
	}
	if !c.Build.Deadline.IsZero() || !w.WakeAt.IsZero() {
		t.Errorf("stops at %v and wakes at %v: no rule shall act on it", c.Build.Deadline, w.WakeAt)
	}
	if got := told(c.Events); got != "audit/workspace.claimed " || c.Events[0].Message != "given back to pool" {
		t.Errorf("told %s: %+v", got, c.Events)
	}
	s := do(t, stopped(deadline(monday.Add(time.Hour))), now, lifecycle.GiveBack(manager, ""))
	if s.Workspace.Name != "dev" || !s.Build.Deadline.Equal(monday.Add(time.Hour)) {
		t.Errorf("one that does not run begins no run: %+v", s.Build)
	}
	// Somebody else who manages it can be relieved of it.
	s = do(t, running(workspace(managed)), now, lifecycle.GiveBack(manager, ""))
	if !s.Workspace.Managed || s.Workspace.OwnerID != manager.ID {
		t.Errorf("given to another manager: %+v", s.Workspace)
	}

	refuse(t, "to nobody", running(), now, lifecycle.GiveBack(lifecycle.Owner{}, ""), invalid.Err)
	refuse(t, "deleted", running(workspace(func(w *lifecycle.Workspace) { w.Deleted = true })), now, lifecycle.GiveBack(manager, ""), lifecycle.ErrDeleted)
	refuse(t, "managed already", apply(claimed, c), now, lifecycle.GiveBack(manager, ""), lifecycle.ErrUnchanged)
	// One that the owner of the pool's workspaces has as a person is no managed one yet.
	own := running(workspace(func(w *lifecycle.Workspace) { w.OwnerID = manager.ID }))
	if s = do(t, own, now, lifecycle.GiveBack(manager, "")); !s.Workspace.Managed {
		t.Error("the manager's own workspace cannot be made managed")
	}
}

// A claimed workspace follows its new owner from the claim on: what rules changed for that owner before is none of it.
func TestClaimFollowsTheNewOwner(t *testing.T) {
	h := lifecycle.Handover{Owner: bob}
	h.Owner.Rules = 9
	c, err := lifecycle.Claim(h)(running(workspace(managed)), monday.Add(time.Hour))
	if err != nil || c.Workspace.Seen.Owner != 9 {
		t.Errorf("follows the rules %d of its owner, error %v", c.Workspace.Seen.Owner, err)
	}
	// The quiet hours are the new owner's.
	daily := policy(func(p *lifecycle.Policy) { p.Requirement = schedule.Requirement{Days: schedule.AllDays, Weeks: 1} })
	quiet, err := schedule.Daily("0 13 * * *")
	must(err)
	h.Owner.QuietHours = quiet
	if s := do(t, running(workspace(managed), daily), monday.Add(time.Hour), lifecycle.Claim(h)); !s.Build.MaxDeadline.Equal(at("2026-03-02 13:00")) {
		t.Errorf("has to stop at %v, want the quiet hours of its new owner", s.Build.MaxDeadline)
	}
}

// A template that lets owners choose no TTL gives its own with the claim.
func TestClaimUnderAFixedTTL(t *testing.T) {
	fixed := running(workspace(managed), policy(func(p *lifecycle.Policy) { p.AllowUserTTL, p.DefaultTTL = false, time.Hour }))
	s := do(t, fixed, monday.Add(time.Hour), lifecycle.Claim(lifecycle.Handover{Owner: bob}))
	if !s.Build.Deadline.Equal(monday.Add(2*time.Hour)) || s.Workspace.TTL != time.Hour {
		t.Errorf("stops at %v, ttl %v", s.Build.Deadline, s.Workspace.TTL)
	}
	refuse(t, "the shortest ttl", fixed, monday, lifecycle.Claim(lifecycle.Handover{Owner: bob, TTL: 1}), lifecycle.ErrForbidden)
}
