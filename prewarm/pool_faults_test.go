package prewarm_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
	"github.com/dormouse-go/dormouse/store/memory"
)

func knobs(change func(k *prewarmtest.Knobs)) func(r *rig) {
	return func(r *rig) { r.backend.Set(change) }
}

func TestEventsMayBeLost(t *testing.T) {
	bubble(t, 3, func(r *rig) {
		r.cfg.Relist = time.Minute
		r.backend.Set(func(k *prewarmtest.Knobs) { k.LoseEvents, k.Build = true, 10*time.Second })
	}, func(r *rig) {
		r.want(3, prewarm.Ready)
	})
}

func TestEventsMayBeDoubledAndLate(t *testing.T) {
	bubble(t, 3, knobs(func(k *prewarmtest.Knobs) { k.DoubleEvents, k.Delay = true, 20*time.Second }), func(r *rig) {
		r.want(3, prewarm.Ready)
		h := r.claim(prewarm.Request{})
		r.backend.Restart(h.Member.Resource) // its events come twice and late
		r.wait(5 * time.Minute)
		r.want(1, prewarm.Claimed)
		r.want(3, prewarm.Ready)
	})
}

func TestBrokenEventStreamIsFollowedByAListing(t *testing.T) {
	bubble(t, 2, nil, func(r *rig) {
		r.claim(prewarm.Request{})
		r.wait(time.Second)
		r.backend.Set(func(k *prewarmtest.Knobs) { k.WatchErr = errors.New("no route") })
		r.backend.Break()
		r.wait(2 * time.Minute) // the replacement is ready, and nobody said so
		r.backend.Set(func(k *prewarmtest.Knobs) { k.WatchErr = nil })
		r.wait(2 * time.Minute)
		r.want(2, prewarm.Ready)
	})
}

func TestFailedListingDestroysNothing(t *testing.T) {
	bubble(t, 3, func(r *rig) { r.cfg.Relist = time.Minute }, func(r *rig) {
		h := r.claim(prewarm.Request{IdleTimeout: -1})
		r.wait(time.Minute)
		destroyed := r.backend.Calls().Destroy
		r.backend.Set(func(k *prewarmtest.Knobs) { k.ListErr = errors.New("half of the nodes did not answer") })
		r.wait(3 * time.Hour)
		if n := r.backend.Calls().Destroy - destroyed; n != 0 {
			t.Errorf("%d destroyed", n)
		}
		r.want(3, prewarm.Ready)
		if r.member(h.Member.ID).State != prewarm.Claimed || r.pool.Stats().Unknown == 0 {
			t.Errorf("the claimed member is %s, %d listings failed", r.member(h.Member.ID).State, r.pool.Stats().Unknown)
		}
	})
}

func TestLostMembersAreReplaced(t *testing.T) {
	bubble(t, 2, func(r *rig) { r.cfg.Relist = time.Minute }, func(r *rig) {
		h := r.claim(prewarm.Request{IdleTimeout: -1})
		r.wait(time.Minute)
		r.backend.Forget(h.Member.Resource)
		r.backend.Forget(r.members(prewarm.Ready)[0].Resource)
		r.wait(30 * time.Minute)
		if m := r.member(h.Member.ID); m.State != prewarm.Gone || m.Reason != prewarm.ReasonLost {
			t.Errorf("the claimed member is %s because %s", m.State, m.Reason)
		}
		r.want(2, prewarm.Ready)
		if n := len(r.backend.Resources()); n != 2 {
			t.Errorf("%d resources, want 2", n)
		}
	})
}

func TestRestartResumesWithTheTimeThatWasLeft(t *testing.T) {
	bubble(t, 2, nil, func(r *rig) {
		h := r.claim(prewarm.Request{IdleTimeout: time.Hour, Key: "k"})
		r.wait(time.Minute)
		before := r.members()
		r.stop()
		r.wait(30 * time.Minute)
		r.start()
		r.wait(time.Minute)
		after := r.members()
		if len(before) != len(after) {
			t.Errorf("%d members before the restart, %d after", len(before), len(after))
		}
		if again := r.claim(prewarm.Request{IdleTimeout: time.Hour, Key: "other"}); again.Member.ID == h.Member.ID {
			t.Error("the claimed member was handed out again")
		}
		r.wait(27 * time.Minute)
		if r.member(h.Member.ID).State != prewarm.Claimed {
			t.Error("it ended before its time")
		}
		r.wait(3 * time.Minute)
		if m := r.member(h.Member.ID); m.State != prewarm.Gone || m.Reason != prewarm.ReasonInactive {
			t.Errorf("an hour after the claim it is %s because %s", m.State, m.Reason)
		}
	})
}

func TestRestartInTheMiddleOfABuild(t *testing.T) {
	bubble(t, 2, nil, func(r *rig) {
		r.claim(prewarm.Request{})
		r.wait(10 * time.Second)
		r.stop()
		r.wait(time.Minute) // it became ready while nobody listened
		r.start()
		r.wait(time.Second)
		r.want(2, prewarm.Ready)
		if n := r.backend.Calls().Create; n != 3 {
			t.Errorf("%d created, want 3", n)
		}
	})
}

func TestTwoReplicasCreateNoMoreThanOne(t *testing.T) {
	bubble(t, 5, func(r *rig) {
		for range 3 { // replicas that start in the same instant
			p, err := prewarm.New(r.store, r.backend, r.cfg)
			if err != nil {
				r.t.Fatal(err)
			}
			r.t.Cleanup(run(r.t, p))
		}
	}, func(r *rig) {
		r.want(5, prewarm.Ready)
		if n := r.backend.Calls().Create; n != 5 {
			t.Errorf("%d created by four replicas, want 5", n)
		}
		for range 5 {
			r.claim(prewarm.Request{})
		}
		r.wait(time.Minute)
		if n := r.backend.Calls().Create; n != 10 {
			t.Errorf("%d created by four replicas, want 10", n)
		}
	})
}

func TestFailuresBackOffAndResume(t *testing.T) {
	bubble(t, 2, knobs(func(k *prewarmtest.Knobs) { k.CreateErr = errors.New("image not found") }), func(r *rig) {
		r.wait(time.Hour)
		calls := r.backend.Calls().Create
		if calls < 8 || calls > 30 {
			t.Errorf("%d attempts in an hour", calls)
		}
		e, err := r.pool.Explain(context.Background())
		if err != nil || e.Decision.Blocked != prewarm.BlockedBackoff || !strings.Contains(e.String(), "image not found") {
			t.Errorf("explained as %v, %v", e, err)
		}
		_, err = r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann"})
		if why := empty(err); why == nil || why.Why.Reason != prewarm.MissFailing {
			t.Errorf("claim: %v", err)
		}
		r.backend.Set(func(k *prewarmtest.Knobs) { k.CreateErr = nil })
		if err := r.pool.Resume(context.Background()); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		r.want(2, prewarm.Ready)
		if r.pool.Stats().Failures != uint64(calls) {
			t.Errorf("%d failures counted of %d", r.pool.Stats().Failures, calls)
		}
	})
}

func TestBreakerHalfOpensByItself(t *testing.T) {
	bubble(t, 3, knobs(func(k *prewarmtest.Knobs) { k.CreateErr = errors.New("no") }), func(r *rig) {
		r.wait(time.Hour)
		r.backend.Set(func(k *prewarmtest.Knobs) { k.CreateErr = nil })
		for len(r.members(prewarm.Starting)) == 0 {
			r.wait(time.Second)
		}
		if n := len(r.members(prewarm.Starting, prewarm.Ready)); n != 1 {
			t.Errorf("%d are tried at once, want one", n)
		}
		r.wait(2 * time.Minute)
		r.want(3, prewarm.Ready)
	})
}

func TestCreateThatLeavesSomethingBehind(t *testing.T) {
	bubble(t, 1, knobs(func(k *prewarmtest.Knobs) { k.CreateErr, k.CreateLeaves = errors.New("the answer was lost"), true }), func(r *rig) {
		r.backend.Set(func(k *prewarmtest.Knobs) { k.CreateErr = nil })
		r.wait(20 * time.Minute)
		r.want(1, prewarm.Ready)
		if n := len(r.backend.Resources()); n != 1 {
			t.Errorf("%d resources, want 1", n)
		}
	})
}

func TestNeverReadyMembersAreReplaced(t *testing.T) {
	bubble(t, 1, func(r *rig) {
		r.cfg.Spec.ReadyTimeout = time.Minute
		r.backend.Set(func(k *prewarmtest.Knobs) { k.NeverReady = true })
	}, func(r *rig) {
		r.backend.Set(func(k *prewarmtest.Knobs) { k.NeverReady = false })
		r.wait(15 * time.Minute)
		r.want(1, prewarm.Ready)
		if n := len(r.backend.Resources()); n != 1 {
			t.Errorf("%d resources, want 1", n)
		}
		if s := r.pool.Stats(); s.Destroyed[prewarm.ReasonNotReady] == 0 || s.Failures == 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestHeldMembersAreLeftAlone(t *testing.T) {
	bubble(t, 2, func(r *rig) {
		r.cfg.Spec.ReadyTimeout = time.Minute
		r.backend.Set(func(k *prewarmtest.Knobs) { k.Hold = true })
	}, func(r *rig) {
		r.wait(10 * time.Hour)
		r.want(2, prewarm.Held)
		if n := r.backend.Calls().Destroy; n != 0 {
			t.Errorf("%d destroyed", n)
		}
		for _, m := range r.members(prewarm.Held) {
			r.backend.Admit(m.Resource)
		}
		r.wait(time.Minute)
		r.want(2, prewarm.Ready)
	})
}

func TestMemberOfANeverFinishedMarkStaysItsKeys(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		r.backend.Set(func(k *prewarmtest.Knobs) { k.MarkErr = errors.New("no route") })
		_, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann", Key: "k"})
		if err == nil || !strings.Contains(err.Error(), "no route") {
			t.Fatalf("claim: %v", err)
		}
		r.backend.Set(func(k *prewarmtest.Knobs) { k.MarkErr = nil })
		if _, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "bob"}); empty(err) == nil {
			t.Errorf("somebody else: %v", err)
		}
		if h := r.claim(prewarm.Request{Key: "k"}); r.backend.Owner(h.Member.Resource) != "ann" {
			t.Error("the mark is not made up for")
		}
	})
}

func TestDepletedPoolListsOnce(t *testing.T) {
	bubble(t, 4, func(r *rig) {
		r.cfg.AlertBelow, r.cfg.AlertAfter, r.cfg.Relist = 0.5, time.Minute, 100*time.Hour
		r.backend.Set(func(k *prewarmtest.Knobs) { k.LoseEvents = true })
	}, func(r *rig) {
		r.want(4, prewarm.Ready) // nobody said so: the listing of the alert found them
		r.wait(time.Hour)
		if s := r.pool.Stats(); s.Reloads != 1 || !s.AlertSince.IsZero() {
			t.Errorf("%d reloads, depleted since %v", s.Reloads, s.AlertSince)
		}
	})
}

func TestOrphansAreReportedAndOnlyOnDemandDestroyed(t *testing.T) {
	for _, destroy := range []bool{false, true} {
		bubble(t, 1, func(r *rig) { r.cfg.DestroyOrphans = destroy }, func(r *rig) {
			stray := prewarm.NewMember(r.cfg.Spec, id(4711), prewarm.ReasonBelowTarget, time.Now())
			if _, err := r.backend.Create(context.Background(), stray); err != nil {
				t.Fatal(err)
			}
			r.wait(10 * time.Minute)
			want := 2
			if destroy {
				want = 1
			}
			if n := len(r.backend.Resources()); n != want {
				t.Errorf("destroy is %v: %d resources, want %d", destroy, n, want)
			}
			if !destroy && r.pool.Stats().Orphans != 1 {
				t.Errorf("%d orphans reported", r.pool.Stats().Orphans)
			}
		})
	}
}

func TestPauseStopsCreationsOnly(t *testing.T) {
	bubble(t, 2, func(r *rig) { r.cfg.Spec.IdleLife = time.Hour }, func(r *rig) {
		if err := r.pool.Pause(context.Background(), "ann: upgrade"); err != nil {
			t.Fatal(err)
		}
		h := r.claim(prewarm.Request{IdleTimeout: 10 * time.Minute})
		r.wait(11 * time.Minute)
		if r.member(h.Member.ID).State != prewarm.Gone {
			t.Error("a claim of a paused pool does not end")
		}
		r.want(1, prewarm.Ready)
		r.wait(time.Hour)
		r.want(0, prewarm.Ready)
		if _, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann"}); empty(err) == nil || empty(err).Why.Reason != prewarm.MissPaused {
			t.Errorf("claim: %v", err)
		}
		if e, err := r.pool.Explain(context.Background()); err != nil || !strings.Contains(e.String(), "ann: upgrade") {
			t.Errorf("explained as %v, %v", e, err)
		}
		if h := r.claim(prewarm.Request{IfEmpty: prewarm.Cold}); h.Source != prewarm.Built {
			t.Errorf("from %s", h.Source)
		}
		if err := r.pool.Resume(context.Background()); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		r.want(2, prewarm.Ready)
	})
}

func TestUnreadableSpecGoesOnServing(t *testing.T) {
	bubble(t, 2, nil, func(r *rig) {
		if err := r.pool.SetSpec(prewarm.Spec{Name: "go-dev", Err: errors.New("unexpected end of JSON input")}); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		r.claim(prewarm.Request{})
		if e, err := r.pool.Explain(context.Background()); err != nil || !strings.Contains(e.String(), "unexpected end of JSON input") {
			t.Errorf("explained as %v, %v", e, err)
		}
		r.wait(time.Minute)
		r.want(1, prewarm.Ready)
		if err := r.pool.SetSpec(pool(2)); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		r.want(2, prewarm.Ready)
	})
}

func TestChangedSizeHasEffectAtOnce(t *testing.T) {
	bubble(t, 2, nil, func(r *rig) {
		for _, n := range []int{5, 1} {
			s := pool(n)
			s.HitRate = -1
			if err := r.pool.SetSpec(s); err != nil {
				t.Fatal(err)
			}
			r.wait(31 * time.Second)
			r.want(n, prewarm.Ready)
		}
	})
}

func TestRolloverServesTheOldVersionMeanwhile(t *testing.T) {
	bubble(t, 3, nil, func(r *rig) {
		used := r.claim(prewarm.Request{IdleTimeout: -1})
		r.wait(time.Minute)
		s := r.cfg.Spec
		s.Version = "v2"
		if err := r.pool.SetSpec(s); err != nil {
			t.Fatal(err)
		}
		if h := r.claim(prewarm.Request{}); h.Member.Version != "v1" { // before anything is planned
			t.Errorf("at once: %s", h.Member.Version)
		}
		r.wait(20 * time.Second)
		if h := r.claim(prewarm.Request{}); h.Member.Version != "v1" { // while the first new one is built
			t.Errorf("meanwhile: %s", h.Member.Version)
		}
		for range 20 { // at no time is there nothing to claim
			if len(r.members(prewarm.Ready)) < 1 {
				t.Errorf("during the rollover: %s", r.census())
			}
			r.wait(10 * time.Second)
		}
		for _, m := range r.members(prewarm.Ready) {
			if m.Version != "v2" {
				t.Errorf("after the rollover %v is of %s", m.ID, m.Version)
			}
		}
		r.want(3, prewarm.Ready)
		if r.member(used.Member.ID).State != prewarm.Claimed {
			t.Error("a claimed member was touched")
		}
		if h := r.claim(prewarm.Request{}); h.Member.Version != "v2" {
			t.Errorf("afterwards: %s", h.Member.Version)
		}
	})
}

// brokenStore fails when it is told to.
type brokenStore struct {
	prewarm.Store
	broken atomic.Bool
}

var errBroken = errors.New("no route to the database")

func (s *brokenStore) ClaimMembers(ctx context.Context, now time.Time, p prewarm.Pick, c []prewarm.Claim) ([]prewarm.Grant, error) {
	if s.broken.Load() {
		return nil, errBroken
	}
	return s.Store.ClaimMembers(ctx, now, p, c)
}

func (s *brokenStore) Members(ctx context.Context, q prewarm.Query) ([]prewarm.Member, error) {
	if s.broken.Load() {
		return nil, errBroken
	}
	return s.Store.Members(ctx, q)
}

func TestStoreThatFails(t *testing.T) {
	store := &brokenStore{Store: memory.NewMembers()}
	bubble(t, 2, func(r *rig) { r.store = store }, func(r *rig) {
		store.broken.Store(true)
		if _, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann"}); !errors.Is(err, errBroken) {
			t.Errorf("a claim that does not wait: %v", err)
		}
		_, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann", IfEmpty: prewarm.Wait, MaxWait: time.Minute})
		if !errors.Is(err, errBroken) {
			t.Errorf("a claim whose time is over before the store is back: %v", err)
		}
		go func() {
			time.Sleep(10 * time.Second)
			store.broken.Store(false)
		}()
		if h := r.claim(prewarm.Request{IfEmpty: prewarm.Wait, MaxWait: time.Minute}); h.Waited < 9*time.Second {
			t.Errorf("waited %v", h.Waited)
		}
		r.wait(time.Minute)
		r.want(2, prewarm.Ready)
	})
}

// A backend that is away for a moment fails all that is under way. That is one failure, not one for each.
func TestShortOutageIsOneFailure(t *testing.T) {
	bubble(t, 8, func(r *rig) {
		r.backend.Set(func(k *prewarmtest.Knobs) { k.CreateTakes, k.CreateErr = time.Second, errors.New("no route") })
		go func() {
			time.Sleep(2 * time.Second)
			r.backend.Set(func(k *prewarmtest.Knobs) { k.CreateErr = nil })
		}()
	}, func(r *rig) {
		r.want(8, prewarm.Ready) // two minutes after the start
	})
}

// A process that died between the decision to create a member and the call: the next one makes the call.
func TestCreationOfADeadProcessIsResumed(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		r.stop()
		m := prewarm.NewMember(r.cfg.Spec, id(77), prewarm.ReasonBelowTarget, time.Now())
		if _, err := r.store.PutMembers(context.Background(), nil, []prewarm.Change{{Member: m}}); err != nil {
			t.Fatal(err)
		}
		r.cfg.Spec.Floor = 2
		r.start()
		r.wait(time.Minute) // far less than the readiness time-out
		r.want(2, prewarm.Ready)
		if got := r.member(m.ID); got.State != prewarm.Ready {
			t.Errorf("the member is %s", got.State)
		}
	})
}

func TestExpiredClaimIsNotRevivedByItsKey(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		r.claim(prewarm.Request{Key: "k", IdleTimeout: time.Minute})
		r.stop()
		r.wait(2 * time.Minute) // nobody has looked yet
		r.start()
		_, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann", Key: "k"})
		if !errors.Is(err, prewarm.ErrEnded) || !strings.Contains(err.Error(), string(prewarm.ReasonInactive)) {
			t.Errorf("claim: %v", err)
		}
	})
}
