package workspaces_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/workspaces"
)

func TestClaimHandsAWorkspaceOver(t *testing.T) {
	bubble(t, 2, nil, func(r *rig) {
		if n := len(r.managed()); n != 2 {
			t.Fatalf("%d workspaces are ready", n)
		}
		h := r.claim(prewarm.Request{Owner: "ann", Key: "k", Details: "api"})
		s := r.load(h.Member.Resource)
		w := s.Workspace
		if w.OwnerID != owner("ann").ID || w.Name != "api" || w.Managed || s.Build.Deadline.IsZero() || h.Source != prewarm.Warm {
			t.Errorf("claimed %s: %+v, stops at %v", h.Source, w, s.Build.Deadline)
		}
		r.wait(time.Minute)
		if n := len(r.managed()); n != 2 {
			t.Errorf("%d are ready after the refill", n)
		}
		again := r.claim(prewarm.Request{Owner: "ann", Key: "k", Details: "api"})
		if again.Member.ID != h.Member.ID || again.Source != prewarm.Repeated {
			t.Errorf("the same key got %+v", again)
		}
		r.consistent()
		if got := audit(r.t, r.store, lifecycle.EventClaimed); len(got) != 1 || got[0] != "claimed by ann" {
			t.Errorf("events of the claim: %q", got)
		}
	})
}

func TestClaimRefusesWhatCannotBeHandedOver(t *testing.T) {
	bubble(t, 3, nil, func(r *rig) {
		r.claim(prewarm.Request{Owner: "ann", Details: "api"})
		for name, c := range map[string]struct {
			q    prewarm.Request
			want func(error) bool
		}{
			"a taken name": {prewarm.Request{Owner: "ann", Details: "api"}, func(err error) bool { return errors.Is(err, lifecycle.ErrNameTaken) }},
			"nobody":       {prewarm.Request{Owner: "cy"}, func(err error) bool { return err.Error() == "who is cy?" }},
		} {
			if _, err := r.p.Claim(context.Background(), c.q); err == nil || !c.want(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		suspended := owner("bob")
		suspended.Status = lifecycle.OwnerSuspended
		r.must(r.store.PutOwner(r.t.Context(), time.Now(), suspended))
		if _, err := r.p.Claim(context.Background(), prewarm.Request{Owner: "bob"}); !errors.Is(err, invalid.Err) {
			t.Errorf("suspended: %v", err)
		}
		r.consistent()
	})
}

// A workspace that somebody has stopped by hand is passed over, and replaced.
func TestStoppedMembersAreNotHandedOut(t *testing.T) {
	bubble(t, 2, nil, func(r *rig) {
		first := r.members(prewarm.Ready)[0]
		_, err := r.engine.Update(r.t.Context(), first.Resource, lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil))
		r.must(err)
		r.wait(time.Minute)
		h := r.claim(prewarm.Request{Owner: "ann"})
		if h.Member.ID == first.ID {
			t.Error("a stopped workspace was handed out")
		}
		r.wait(3 * time.Minute)
		if !r.load(first.Resource).Workspace.Deleted || len(r.members(prewarm.Ready)) != 2 {
			t.Errorf("members: %+v", r.members())
		}
		r.consistent()
	})
}

// However many members are of no use, a claim finds those behind them.
func TestClaimPassesManyUnfitMembers(t *testing.T) {
	bubble(t, 60, func(r *rig) { r.pool.Spec.Ceiling = 60 }, func(r *rig) {
		pick := prewarm.Pick{Pool: "go", Version: r.pool.Spec.Version}
		ready, err := r.store.Members(r.t.Context(), prewarm.Query{Pool: "go", Pick: &pick})
		r.must(err)
		if len(ready) != 60 {
			t.Fatalf("%d members are ready", len(ready))
		}
		fit := map[uuid.UUID]bool{ready[58].ID: true, ready[59].ID: true}
		for _, m := range ready[:58] {
			_, err := r.engine.Update(r.t.Context(), m.Resource, lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil))
			r.must(err)
		}
		claims := []prewarm.Claim{{Key: "1", Owner: "ann"}, {Key: "2", Owner: "bob"}, {Key: "3", Owner: "bob"}}
		grants, err := r.w.ClaimMembers(r.t.Context(), time.Now(), pick, claims)
		r.must(err)
		for i, g := range grants[:2] {
			if g.Result != prewarm.GrantNew || !fit[g.Member.ID] {
				t.Errorf("claim %d: %+v", i, g)
			}
		}
		if grants[2].Result != prewarm.GrantNone {
			t.Errorf("a third claim of two that are fit: %+v", grants[2])
		}
		r.consistent()
	})
}

func TestColdClaimIsHandedOverWhenItRuns(t *testing.T) {
	bubble(t, 0, nil, func(r *rig) {
		h := r.claim(prewarm.Request{Owner: "ann", Details: "api", IfEmpty: prewarm.Cold})
		w := r.load(h.Member.Resource).Workspace
		if h.Source != prewarm.Built || w.OwnerID != owner("ann").ID || w.Name != "api" || w.Managed {
			t.Errorf("claimed %s: %+v", h.Source, w)
		}
		r.consistent()
		// What was built for a claim that is refused is removed.
		_, err := r.p.Claim(context.Background(), prewarm.Request{Owner: "ann", Details: "api", IfEmpty: prewarm.Cold})
		if !errors.Is(err, prewarm.ErrEnded) {
			t.Errorf("cold claim of a taken name: %v", err)
		}
		r.wait(5 * time.Minute)
		if n := len(r.managed()); n != 0 {
			t.Errorf("%d workspaces are left", n)
		}
	})
}

// A claimer who leaves in the middle takes nothing along: the workspace is the pool's again.
func TestClaimerWhoLeavesGivesTheWorkspaceBack(t *testing.T) {
	for _, policy := range []prewarm.IfEmpty{prewarm.Wait, prewarm.Cold} {
		bubble(t, 1, func(r *rig) {
			r.cfg.Claimed = nil
		}, func(r *rig) {
			r.claim(prewarm.Request{Owner: "bob"})
			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := r.p.Claim(ctx, prewarm.Request{Owner: "ann", Details: "api", IfEmpty: policy, MaxWait: time.Hour}); err == nil {
					t.Errorf("policy %d: claimed", policy)
				}
			})
			r.wait(10 * time.Second)
			cancel()
			wg.Wait()
			r.wait(5 * time.Minute)
			r.consistent()
			mine, err := r.store.List(context.Background(), lifecycle.ListQuery{OwnerID: owner("ann").ID, Limit: 10})
			r.must(err)
			if len(mine) != 0 || len(r.members(prewarm.Ready)) == 0 {
				t.Errorf("policy %d: ann has %d, ready are %d", policy, len(mine), len(r.members(prewarm.Ready)))
			}
		})
	}
}

// The store hands a claim's member to somebody who has left just then.
func TestGiveBackIsOneCommit(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		pick := prewarm.Pick{Pool: "go", Version: r.pool.Spec.Version}
		grants, err := r.w.ClaimMembers(r.t.Context(), time.Now(), pick, []prewarm.Claim{{Key: "k", Owner: "ann", Details: "api"}})
		r.must(err)
		m := grants[0].Member
		r.consistent()
		m.Claim, m.State, m.Reason, m.Deadline = prewarm.Claim{}, prewarm.Ready, prewarm.ReasonAbandoned, time.Time{}
		applied, err := r.w.PutMembers(r.t.Context(), nil, []prewarm.Change{{Member: m}})
		r.must(err)
		r.consistent()
		s := r.load(m.Resource)
		if !applied[0] || !s.Workspace.Managed || s.Workspace.OwnerID != manager.ID || !s.Build.Deadline.IsZero() {
			t.Errorf("given back: %v, %+v", applied, s.Workspace)
		}
		h := r.claim(prewarm.Request{Owner: "bob", Details: "api"})
		if h.Member.ID != m.ID {
			t.Errorf("bob got %s, not what ann gave back", h.Member.ID)
		}
	})
}

func TestReturnDeletesTheWorkspace(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		h := r.claim(prewarm.Request{Owner: "ann"})
		r.must(r.p.Return(r.t.Context(), h.Member.ID))
		r.wait(5 * time.Minute)
		if !r.load(h.Member.Resource).Workspace.Deleted {
			t.Error("the workspace was not deleted")
		}
	})
}

// A deletion that fails is not asked for again at once.
func TestDeletionThatFailsIsAskedForMoreAndMoreRarely(t *testing.T) {
	bubble(t, 0, nil, func(r *rig) {
		h := r.claim(prewarm.Request{Owner: "ann", IfEmpty: prewarm.Cold})
		r.set(100*time.Millisecond, lifecycle.JobFailed)
		r.must(r.p.Return(context.Background(), h.Member.ID))
		r.wait(time.Hour)
		s := r.load(h.Member.Resource)
		if n := s.Build.Number - 1; n < 5 || n > 20 || s.Workspace.Deleted {
			t.Errorf("%d deletions in an hour; deleted: %v", n, s.Workspace.Deleted)
		}
		if m := r.members(prewarm.Deleting); len(m) != 1 || !strings.Contains(m[0].Message, "failed") {
			t.Errorf("members: %+v", m)
		}
		r.set(time.Second, lifecycle.JobSucceeded)
		r.wait(15 * time.Minute)
		if !r.load(h.Member.Resource).Workspace.Deleted || len(r.members(prewarm.Deleting)) != 0 {
			t.Error("it is not deleted")
		}
	})
}

// Whatever ends a claim but its return, the workspace stays its owner's.
func TestEndOfAClaimDeletesNobodysWork(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		h := r.claim(prewarm.Request{Owner: "ann", Until: time.Now().Add(time.Minute)})
		r.wait(10 * time.Minute)
		s := r.load(h.Member.Resource)
		if s.Workspace.Deleted || s.Build.Transition != lifecycle.TransitionStart {
			t.Errorf("the claim's end has left a %s", s.Build.Transition)
		}
		if got := r.members(prewarm.Claimed, prewarm.Deleting); len(got) != 0 {
			t.Errorf("the claim is not over: %+v", got)
		}
	})
}

func TestOwnerWhoDeletesEndsTheClaim(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		h := r.claim(prewarm.Request{Owner: "ann", Key: "k"})
		_, err := r.engine.Update(r.t.Context(), h.Member.Resource, lifecycle.RequestBuild(lifecycle.TransitionDelete, uuid.Nil))
		r.must(err)
		r.wait(20 * time.Minute)
		if _, err := r.p.Claim(context.Background(), prewarm.Request{Owner: "ann", Key: "k"}); !errors.Is(err, prewarm.ErrEnded) {
			t.Errorf("the key of a deleted workspace: %v", err)
		}
	})
}

func TestFailedBuildsBackOffAndLeaveNothing(t *testing.T) {
	bubble(t, 1, func(r *rig) { r.status = lifecycle.JobFailed }, func(r *rig) {
		r.wait(10 * time.Minute)
		if f := r.p.Stats().Failures; f < 3 || f > 12 {
			t.Errorf("%d failures in 12 minutes", f)
		}
		r.mu.Lock()
		r.status = lifecycle.JobSucceeded
		r.mu.Unlock()
		r.wait(time.Hour)
		if ready, managed := len(r.members(prewarm.Ready)), len(r.managed()); ready != 1 || managed != 1 {
			t.Errorf("%d ready of %d workspaces", ready, managed)
		}
	})
}

// Builds that wait for a worker are held, not late.
func TestBuildsInTheQueueAreHeld(t *testing.T) {
	bubble(t, 1, func(r *rig) { r.build = time.Hour }, func(r *rig) {
		r.wait(50 * time.Minute)
		if got := r.members(prewarm.Held); len(got) != 1 {
			t.Errorf("held: %+v", r.members())
		}
		r.wait(20 * time.Minute)
		if got := r.members(prewarm.Ready); len(got) != 1 {
			t.Errorf("ready: %+v", r.members())
		}
	})
}

// A process that dies between any two steps of a creation leaves something that the next one finishes.
func TestRestartFinishesCreations(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		r.stop()
		m := prewarm.NewMember(r.pool.Spec, uuid.New(), prewarm.ReasonBelowTarget, time.Now())
		_, err := r.store.PutMembers(r.t.Context(), nil, []prewarm.Change{{Member: m}})
		r.must(err)
		orphan := lifecycle.NewWorkspace(uuid.New(), r.template, manager.ID, "o", time.Now())
		orphan.Managed = true
		r.must(r.store.CreateWorkspaces(r.t.Context(), time.Now(), orphan))
		r.pool.Spec.Floor = 2
		r.start()
		r.wait(20 * time.Minute)
		if n := len(r.members(prewarm.Ready)); n != 2 {
			t.Errorf("%d ready", n)
		}
		if !r.load(orphan.ID).Workspace.Deleted {
			t.Error("what belongs to no member was not removed")
		}
		r.consistent()
	})
}

// Many claim at once, some under one key, some leave: every workspace has at most one owner, and every key one workspace.
func TestManyClaimAtOnce(t *testing.T) {
	bubble(t, 10, nil, func(r *rig) {
		var mu sync.Mutex
		keys, owned := map[string]uuid.UUID{}, map[uuid.UUID]string{}
		var wg sync.WaitGroup
		for i := range 60 {
			wg.Go(func() {
				key := fmt.Sprint("k", i%40)
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%7)*20*time.Second)
				defer cancel()
				h, err := r.p.Claim(ctx, prewarm.Request{Owner: "ann", Key: key, Details: key, IfEmpty: prewarm.Wait, MaxWait: time.Hour})
				if err != nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if other, ok := keys[key]; ok && other != h.Member.ID {
					t.Errorf("key %s has %s and %s", key, other, h.Member.ID)
				}
				if other, ok := owned[h.Member.Resource]; ok && other != key {
					t.Errorf("workspace %s is of %s and %s", h.Member.Resource, other, key)
				}
				keys[key], owned[h.Member.Resource] = h.Member.ID, key
			})
		}
		wg.Wait()
		r.wait(20 * time.Minute)
		r.consistent()
		for key, id := range keys {
			m := r.members()
			found := false
			for i := range m {
				found = found || m[i].ID == id && m[i].Claim.Key == key && r.load(m[i].Resource).Workspace.Name == key
			}
			if !found {
				t.Errorf("key %s has lost its workspace", key)
			}
		}
		if len(keys) < 10 {
			t.Errorf("%d were served", len(keys))
		}
	})
}

func TestNewRefusesBadInput(t *testing.T) {
	bubble(t, 0, nil, func(r *rig) {
		for field, spoil := range map[string]func(c *workspaces.Config){
			"Config.Template": func(c *workspaces.Config) { c.Template = uuid.Nil },
			"Config.Manager":  func(c *workspaces.Config) { c.Manager.ID = uuid.Nil },
			"Config.Hand":     func(c *workspaces.Config) { c.Hand = nil },
			"Config.Poll":     func(c *workspaces.Config) { c.Poll = -1 },
		} {
			cfg := r.cfg
			spoil(&cfg)
			_, err := workspaces.New(r.store, r.engine, cfg)
			var refused *invalid.Error
			if !errors.As(err, &refused) || refused.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		if _, err := r.w.Create(r.t.Context(), prewarm.Member{ID: uuid.New(), Version: "v1"}); !errors.Is(err, invalid.Err) {
			t.Errorf("a version that is none: %v", err)
		}
	})
}

// Two replicas claim at once, and one sees the member before the other's commit and its workspace after it. It must not take
// the workspace for a broken one: it is the other's.
func TestClaimThatIsSeenHalfway(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		other, err := workspaces.New(r.store, r.engine, r.cfg)
		r.must(err)
		var taken prewarm.Grant
		r.mu.Lock()
		r.between = func() {
			grants, err := other.ClaimMembers(context.Background(), time.Now().UTC(),
				prewarm.Pick{Pool: "go", Version: r.pool.Spec.Version}, []prewarm.Claim{{Key: "bob's", Owner: "bob", Details: "api"}})
			r.must(err)
			taken = grants[0]
		}
		r.mu.Unlock()
		h := r.claim(prewarm.Request{Owner: "ann", Details: "api", IfEmpty: prewarm.Wait, MaxWait: time.Hour})
		if taken.Result != prewarm.GrantNew || h.Member.Resource == taken.Member.Resource {
			t.Fatalf("bob has %+v, ann %s", taken, h.Member.Resource)
		}
		r.wait(20 * time.Minute)
		r.consistent()
		found, err := r.store.Members(context.Background(), prewarm.Query{Pool: "go", IDs: []uuid.UUID{taken.Member.ID}})
		r.must(err)
		if len(found) != 1 || found[0].State != prewarm.Claimed {
			t.Errorf("bob's member is %+v", found)
		}
	})
}

// A process dies after it has made a workspace and before it has asked for its build. The next listing has it built, long
// before the member counts as one that is not ready in time.
func TestWorkspaceThatNobodyHadBuilt(t *testing.T) {
	bubble(t, 0, nil, func(r *rig) {
		r.stop()
		ctx, now := context.Background(), time.Now().UTC()
		m := prewarm.NewMember(r.pool.Spec, uuid.New(), prewarm.ReasonCold, now)
		m.Claim = prewarm.Claim{Key: "k", Owner: "ann", Details: "api", At: now}
		_, err := r.store.PutMembers(ctx, nil, []prewarm.Change{{Member: m}})
		r.must(err)
		r.must(r.store.PutOwner(ctx, now, manager))
		w := lifecycle.NewWorkspace(m.Resource, r.template, manager.ID, "go-1", now)
		w.Managed = true
		r.must(r.store.CreateWorkspaces(ctx, now, w))
		r.start()
		r.wait(6 * time.Minute)
		if got := r.members(prewarm.Claimed); len(got) != 1 || got[0].ID != m.ID || r.load(m.Resource).Owner.Name != "ann" {
			t.Errorf("claimed %+v, of %+v", got, r.members())
		}
	})
}
