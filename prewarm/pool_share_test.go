package prewarm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
)

func TestWaitingTenantsAreServedFairly(t *testing.T) {
	bubble(t, 0, func(r *rig) { r.cfg.Spec.Ceiling, r.cfg.Spec.MaxStarting = 1, 1 }, func(r *rig) {
		var mu sync.Mutex
		var order []string
		var all sync.WaitGroup
		wait := func(tenant string, n int) {
			for i := range n {
				all.Go(func() {
					h, err := r.pool.Claim(context.Background(), prewarm.Request{
						Owner: fmt.Sprint(tenant, i), Tenant: tenant, IfEmpty: prewarm.Wait, MaxWait: 10 * time.Hour,
					})
					if err != nil {
						t.Errorf("claim: %v", err)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					order = append(order, h.Member.Claim.Tenant)
				})
			}
			synctest.Wait()
		}
		wait("crowd", 10)
		r.wait(time.Second)
		wait("one", 1)
		wait("two", 2)
		all.Wait()
		if len(order) != 13 {
			t.Fatalf("%d served", len(order))
		}
		place := make(map[string]int)
		for i, tenant := range order {
			place[tenant] = i + 1 // of its last one
		}
		if place["one"] > 4 || place["two"] > 7 {
			t.Errorf("served in the order %v", order)
		}
	})
}

func TestFirstComeFirstServedWithinATenant(t *testing.T) {
	bubble(t, 0, func(r *rig) { r.cfg.Spec.Ceiling = 1 }, func(r *rig) {
		var mu sync.Mutex
		var order []string
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() {
				h := r.claim(prewarm.Request{Owner: fmt.Sprint(i), IfEmpty: prewarm.Wait, MaxWait: time.Hour})
				mu.Lock()
				defer mu.Unlock()
				order = append(order, h.Member.Claim.Owner)
			})
			r.wait(time.Second)
		}
		all.Wait()
		if fmt.Sprint(order) != "[0 1 2 3 4]" {
			t.Errorf("served in the order %v", order)
		}
	})
}

func TestReservesAreKeptForTheirTenant(t *testing.T) {
	bubble(t, 3, func(r *rig) { r.cfg.Spec.Reserves = map[string]int{"vip": 2} }, func(r *rig) {
		r.claim(prewarm.Request{Tenant: "crowd"})
		r.wait(0)
		_, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "bob", Tenant: "crowd"})
		if e := empty(err); e == nil || e.Why.Reason != prewarm.MissReserved {
			t.Errorf("another tenant: %v", err)
		}
		for range 2 {
			if h := r.claim(prewarm.Request{Tenant: "vip"}); h.Source != prewarm.Warm {
				t.Errorf("the tenant itself: %s", h.Source)
			}
		}
		r.wait(time.Minute)
		reserved := 0
		for _, m := range r.members(prewarm.Ready) {
			if m.For == prewarm.ForTenant("vip") {
				reserved++
			}
		}
		if reserved != 2 {
			t.Errorf("%d reserved again, want 2", reserved)
		}
	})
}

func TestMinimumLifeLeft(t *testing.T) {
	bubble(t, 1, func(r *rig) { r.cfg.Spec.IdleLife = 4 * time.Minute }, func(r *rig) {
		left := time.Until(r.members(prewarm.Ready)[0].Deadline)
		_, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann", MinLife: left + time.Second})
		if e := empty(err); e == nil || e.Why.Reason != prewarm.MissExpiring {
			t.Errorf("claim: %v", err)
		}
		r.wait(left - 30*time.Second)
		if _, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann"}); empty(err) == nil {
			t.Errorf("half a minute before its end: %v", err)
		}
		r.claim(prewarm.Request{MinLife: -1})
	})
}

// cleaner answers as it is told, and remembers whom it cleaned for.
type cleaner struct {
	mu       sync.Mutex
	verified bool
	err      error
	takes    time.Duration
	cleaned  []uuid.UUID
}

func (c *cleaner) Clean(ctx context.Context, m prewarm.Member) (bool, error) {
	c.mu.Lock()
	verified, err, takes := c.verified, c.err, c.takes
	c.cleaned = append(c.cleaned, m.Resource)
	c.mu.Unlock()
	select {
	case <-time.After(takes):
		return verified, err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func reusing(c *cleaner, change func(s *prewarm.Spec)) func(r *rig) {
	return func(r *rig) {
		r.cfg.Cleaner = c
		r.cfg.Spec.Reuse.MaxUses = 3
		r.cfg.Spec.Quarantine = time.Hour
		if change != nil {
			change(&r.cfg.Spec)
		}
	}
}

func TestReturnedMembersAreReusedUpToTheLimit(t *testing.T) {
	c := &cleaner{verified: true, takes: time.Second}
	bubble(t, 1, reusing(c, nil), func(r *rig) {
		resources := make(map[uuid.UUID]int)
		seen := make(map[uuid.UUID]bool)
		for n := range 6 {
			h := r.claim(prewarm.Request{Key: fmt.Sprint(n)})
			resources[h.Member.Resource]++
			if seen[h.Member.ID] {
				t.Errorf("member %v was handed out twice", h.Member.ID)
			}
			seen[h.Member.ID] = true
			if err := r.pool.Return(context.Background(), h.Member.ID); err != nil {
				t.Fatal(err)
			}
			// The replacement was not started yet: what is cleaned counts.
			r.wait(2 * time.Minute)
			r.want(1, prewarm.Ready)
			// Its old key does not lead to the next use.
			if _, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann", Key: fmt.Sprint(n)}); !errors.Is(err, prewarm.ErrEnded) {
				t.Errorf("the old key: %v", err)
			}
		}
		for resource, n := range resources {
			if n > 3 {
				t.Errorf("resource %v was used %d times of at most 3", resource, n)
			}
		}
		if len(c.cleaned) == 0 {
			t.Error("nothing was reused")
		}
	})
}

func TestUncleanMembersAreNeverReused(t *testing.T) {
	for _, test := range []struct {
		name    string
		cleaner *cleaner
		want    prewarm.State
	}{
		{"something is left", &cleaner{verified: false}, prewarm.Gone},
		{"nobody knows", &cleaner{err: errors.New("no answer")}, prewarm.Quarantined},
		{"it takes too long", &cleaner{verified: true, takes: time.Hour}, prewarm.Quarantined},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, 1, reusing(test.cleaner, nil), func(r *rig) {
				h := r.claim(prewarm.Request{})
				if err := r.pool.Return(context.Background(), h.Member.ID); err != nil {
					t.Fatal(err)
				}
				r.wait(3 * time.Minute)
				for _, m := range r.members(prewarm.Ready) {
					if m.Resource == h.Member.Resource {
						t.Error("it is ready again")
					}
				}
				r.want(1, prewarm.Ready)
				if test.want == prewarm.Quarantined {
					r.want(1, prewarm.Quarantined)
					r.wait(2 * time.Hour)
				}
				r.want(0, prewarm.Quarantined)
				if n := len(r.backend.Resources()); n != 1 {
					t.Errorf("%d resources, want 1", n)
				}
			})
		})
	}
}

func TestVersionThatChangedWhileCleaning(t *testing.T) {
	c := &cleaner{verified: true, takes: 30 * time.Second}
	bubble(t, 1, reusing(c, nil), func(r *rig) {
		h := r.claim(prewarm.Request{})
		if err := r.pool.Return(context.Background(), h.Member.ID); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Second)
		s := r.cfg.Spec
		s.Version = "v2"
		if err := r.pool.SetSpec(s); err != nil {
			t.Fatal(err)
		}
		r.wait(5 * time.Minute)
		for _, m := range r.members(prewarm.Ready, prewarm.Cleaning) {
			if m.Version != "v2" {
				t.Errorf("%v of %s is %s", m.ID, m.Version, m.State)
			}
		}
	})
}

func TestReuseBySameOwnerOnly(t *testing.T) {
	c := &cleaner{verified: true}
	bubble(t, 1, reusing(c, func(s *prewarm.Spec) { s.Reuse.SameOwner = true }), func(r *rig) {
		h := r.claim(prewarm.Request{Owner: "ann"})
		r.wait(time.Minute)
		if err := r.pool.Return(context.Background(), h.Member.ID); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Second)
		if other := r.claim(prewarm.Request{Owner: "bob"}); other.Member.Resource == h.Member.Resource {
			t.Error("somebody else got what ann had used")
		}
		if again := r.claim(prewarm.Request{Owner: "ann"}); again.Member.Resource != h.Member.Resource {
			t.Error("ann did not get what she had used")
		}
	})
}

// The wildest mixture of claimers who stay, leave and repeat, on three replicas and a bad backend: nobody ever has what
// somebody else has, and in the end nothing is lost.
func TestNobodyHasWhatSomebodyElseHas(t *testing.T) {
	for seed := range uint64(4) {
		bubble(t, 4, func(r *rig) {
			r.store = slowStore{r.store}
			r.backend.Set(func(k *prewarmtest.Knobs) {
				k.Build, k.DoubleEvents, k.Delay = 5*time.Second, true, 200*time.Millisecond
				k.CreateTakes, k.DestroyTakes = 100*time.Millisecond, 300*time.Millisecond
			})
		}, func(r *rig) {
			pools := []*prewarm.Pool{r.pool}
			for range 2 {
				p, err := prewarm.New(r.store, r.backend, r.cfg)
				if err != nil {
					t.Fatal(err)
				}
				pools = append(pools, p)
				defer run(t, p)()
			}
			synctest.Wait()
			ledger := &ledger{t: t, holders: make(map[uuid.UUID]string)}
			var all sync.WaitGroup
			for i := range 40 {
				all.Go(func() { claimer(pools, ledger, rand.New(rand.NewPCG(seed, uint64(i))), i) })
			}
			all.Wait()
			r.wait(15 * time.Minute)
			r.want(4, prewarm.Ready)
			r.want(0, prewarm.Claimed)
			if n := len(r.backend.Resources()); n != 4 {
				t.Errorf("%d resources in the end, want 4", n)
			}
		})
	}
}

// slowStore takes a while before and after each write, so that much can happen in between.
type slowStore struct{ prewarm.Store }

func (s slowStore) while() { time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) }

func (s slowStore) ClaimMembers(ctx context.Context, now time.Time, p prewarm.Pick, c []prewarm.Claim) ([]prewarm.Grant, error) {
	s.while()
	defer s.while()
	return s.Store.ClaimMembers(ctx, now, p, c)
}

func (s slowStore) PutMembers(ctx context.Context, state *prewarm.PoolState, c []prewarm.Change) ([]bool, error) {
	s.while()
	defer s.while()
	return s.Store.PutMembers(ctx, state, c)
}

// ledger knows who has what.
type ledger struct {
	t       *testing.T
	mu      sync.Mutex
	holders map[uuid.UUID]string
}

func (l *ledger) take(id uuid.UUID, key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, ok := l.holders[id]; ok && other != key {
		l.t.Errorf("%v was handed out for %s and for %s", id, other, key)
	}
	l.holders[id] = key
}

func claimer(pools []*prewarm.Pool, l *ledger, random *rand.Rand, n int) {
	for round := range 15 {
		key := fmt.Sprintf("%d-%d", n, round)
		request := prewarm.Request{
			Owner: fmt.Sprint(n), Tenant: fmt.Sprint(n % 5), Key: key, IfEmpty: prewarm.IfEmpty(random.IntN(3)),
			MaxWait: time.Duration(random.IntN(20)+1) * time.Second, IdleTimeout: 5 * time.Minute,
		}
		var got []uuid.UUID
		for range 1 + random.IntN(2) { // the same key twice, perhaps, on any replica, perhaps by somebody who leaves
			ctx, cancel := context.WithCancel(context.Background())
			if random.IntN(3) == 0 {
				ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(8000))*time.Millisecond)
			}
			if h, err := pools[random.IntN(len(pools))].Claim(ctx, request); err == nil {
				l.take(h.Member.Resource, key)
				got = append(got, h.Member.ID)
			}
			cancel()
		}
		if len(got) == 2 && got[0] != got[1] {
			l.t.Errorf("key %s got two members", key)
		}
		time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
		for _, id := range got {
			if err := pools[random.IntN(len(pools))].Return(context.Background(), id); err != nil {
				l.t.Errorf("return: %v", err)
			}
		}
	}
}

// A member that another process made ready is announced: whoever waits does not wait for the next look.
func TestReadyMembersAreAnnouncedToOtherProcesses(t *testing.T) {
	bubble(t, 1, func(r *rig) { r.cfg.Poll = time.Hour }, func(r *rig) {
		r.claim(prewarm.Request{})
		deaf := prewarmtest.New(nil) // sees nothing of what the first one builds
		cfg := r.cfg
		cfg.Spec.Paused = true
		other, err := prewarm.New(r.store, deaf, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer run(t, other)()
		begun := time.Now()
		if _, err := other.Claim(context.Background(), prewarm.Request{Owner: "bob", IfEmpty: prewarm.Wait, MaxWait: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 31*time.Second {
			t.Errorf("waited %v for a member that is ready after 30 seconds", took)
		}
	})
}
