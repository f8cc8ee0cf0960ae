package lifecycle_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
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
