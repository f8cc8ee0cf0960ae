package prewarm_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
	"github.com/dormouse-go/dormouse/store/memory"
)

func TestPoolFillsAndRefills(t *testing.T) {
	bubble(t, 3, nil, func(r *rig) {
		r.want(3, prewarm.Ready)
		h := r.claim(prewarm.Request{})
		if h.Source != prewarm.Warm || h.Member.State != prewarm.Claimed || h.Waited != 0 {
			t.Errorf("handed out %+v", h)
		}
		if owner := r.backend.Owner(h.Member.Resource); owner != "ann" {
			t.Errorf("the backend knows %q as the owner", owner)
		}
		r.wait(0)
		r.want(1, prewarm.Starting)
		r.wait(30 * time.Second)
		r.want(3, prewarm.Ready)
		r.want(1, prewarm.Claimed)
	})
}

func TestSameKeyGetsTheSameMember(t *testing.T) {
	bubble(t, 3, nil, func(r *rig) {
		first := r.claim(prewarm.Request{Key: "k"})
		again := r.claim(prewarm.Request{Key: "k"})
		if again.Member.ID != first.Member.ID || again.Source != prewarm.Repeated {
			t.Errorf("first %v, then %v from %s", first.Member.ID, again.Member.ID, again.Source)
		}
		_, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "bob", Key: "k"})
		if !errors.Is(err, prewarm.ErrKeyReused) {
			t.Errorf("another owner: %v", err)
		}
		if err := r.pool.Return(context.Background(), first.Member.ID); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Second)
		if _, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann", Key: "k"}); !errors.Is(err, prewarm.ErrEnded) {
			t.Errorf("after the return: %v", err)
		}
		m, err := r.pool.ExplainClaim(context.Background(), "ann", "k")
		if err != nil || m.State != prewarm.Gone || m.Reason != prewarm.ReasonReturned {
			t.Errorf("explained as %+v, %v", m, err)
		}
		r.wait(2 * time.Hour)
		if _, err := r.pool.ExplainClaim(context.Background(), "ann", "k"); !errors.Is(err, prewarm.ErrNotFound) {
			t.Errorf("the claim is remembered for ever: %v", err)
		}
	})
}

func TestEmptyPoolFailsWithReasonAndEstimate(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		r.claim(prewarm.Request{})
		r.wait(10 * time.Second)
		_, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "bob"})
		e := empty(err)
		if e == nil || e.Why.Reason != prewarm.MissDrained {
			t.Fatalf("claim of a drained pool: %v", err)
		}
		if in := time.Until(e.Why.Estimate); in != 20*time.Second {
			t.Errorf("a member is said to come in %v, want 20s", in)
		}
		if s := r.pool.Stats(); s.Misses[prewarm.MissDrained] != 1 || s.Claims[prewarm.Warm] != 1 || s.HitRate() != 0.5 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestEmptyPoolWaits(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		r.claim(prewarm.Request{})
		begun := time.Now()
		h := r.claim(prewarm.Request{IfEmpty: prewarm.Wait, MaxWait: time.Minute})
		if h.Source != prewarm.Waited || time.Since(begun) != 30*time.Second || h.Waited != 30*time.Second {
			t.Errorf("waited %v (said: %v) for %s", time.Since(begun), h.Waited, h.Source)
		}
		if h.Missed.Reason == "" {
			t.Error("nobody says why it had to wait")
		}
		r.wait(time.Second)
		r.claim(prewarm.Request{}) // what was built beside
		_, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "bob", IfEmpty: prewarm.Wait, MaxWait: 5 * time.Second})
		if e := empty(err); e == nil || e.Waited != 5*time.Second {
			t.Errorf("a wait that is too short: %v", err)
		}
	})
}

func TestEmptyPoolBuildsForTheClaim(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		r.claim(prewarm.Request{})
		h := r.claim(prewarm.Request{IfEmpty: prewarm.Cold, Key: "cold"})
		if h.Source != prewarm.Built || h.Waited != 30*time.Second || h.Missed.Reason != prewarm.MissDrained {
			t.Errorf("handed out %+v", h)
		}
		if again := r.claim(prewarm.Request{Key: "cold"}); again.Member.ID != h.Member.ID {
			t.Error("its key got another one")
		}
		r.wait(time.Minute)
		r.want(1, prewarm.Ready)
		r.want(2, prewarm.Claimed)
	})
}

func TestPoolOfSizeZeroServesColdClaims(t *testing.T) {
	bubble(t, 0, func(r *rig) { r.cfg.Spec.Ceiling = 0; r.cfg.AlertBelow = 0.5; r.cfg.AlertAfter = time.Second }, func(r *rig) {
		_, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann"})
		if e := empty(err); e == nil || e.Why.Reason != prewarm.MissZero {
			t.Errorf("claim: %v", err)
		}
		if h := r.claim(prewarm.Request{IfEmpty: prewarm.Cold}); h.Source != prewarm.Built {
			t.Errorf("from %s", h.Source)
		}
		if s := r.pool.Stats(); s.Reloads != 0 || !s.AlertSince.IsZero() {
			t.Errorf("a pool of size zero alerts: %+v", s)
		}
	})
}

func TestColdClaimThatCannotBeBuilt(t *testing.T) {
	bubble(t, 0, nil, func(r *rig) {
		r.backend.Set(func(k *prewarmtest.Knobs) { k.CreateErr = errors.New("image not found") })
		_, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann", IfEmpty: prewarm.Cold})
		if !errors.Is(err, prewarm.ErrEnded) || !strings.Contains(err.Error(), "image not found") {
			t.Errorf("claim: %v", err)
		}
	})
}

func TestWaiterWhoLeavesTakesNothingAlong(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		r.claim(prewarm.Request{})
		for _, policy := range []prewarm.IfEmpty{prewarm.Wait, prewarm.Cold} {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			if _, err := r.pool.Claim(ctx, prewarm.Request{Owner: "bob", IfEmpty: policy, MaxWait: time.Hour}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("claim: %v", err)
			}
			cancel()
		}
		r.wait(5 * time.Minute)
		r.want(1, prewarm.Claimed)
		r.want(1, prewarm.Ready)
		if n := len(r.backend.Resources()); n != 2 {
			t.Errorf("%d resources, want 2", n)
		}
	})
}

func TestClaimIsOverAtItsTimes(t *testing.T) {
	bubble(t, 2, nil, func(r *rig) {
		idle := r.claim(prewarm.Request{IdleTimeout: time.Hour})
		limited := r.claim(prewarm.Request{IdleTimeout: -1, Until: time.Now().Add(90 * time.Minute)})
		r.wait(50 * time.Minute)
		if err := r.pool.KeepAlive(context.Background(), idle.Member.ID); err != nil {
			t.Fatal(err)
		}
		r.wait(59 * time.Minute)
		if m := r.member(limited.Member.ID); m.State != prewarm.Gone || m.Reason != prewarm.ReasonClaimOver {
			t.Errorf("after 109 minutes of 90: %s because %s", m.State, m.Reason)
		}
		if m := r.member(idle.Member.ID); m.State != prewarm.Claimed {
			t.Errorf("59 minutes after its activity: %s because %s", m.State, m.Reason)
		}
		r.wait(2 * time.Minute)
		if m := r.member(idle.Member.ID); m.State != prewarm.Gone || m.Reason != prewarm.ReasonInactive {
			t.Errorf("61 minutes after its activity: %s because %s", m.State, m.Reason)
		}
		if err := r.pool.KeepAlive(context.Background(), idle.Member.ID); !errors.Is(err, prewarm.ErrEnded) {
			t.Errorf("revived: %v", err)
		}
	})
}

func TestWorkLongerThanTheTimeoutIsActivity(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		h := r.claim(prewarm.Request{IdleTimeout: time.Minute, Until: time.Now().Add(24 * time.Hour)})
		ctx, end, err := r.pool.Work(context.Background(), h.Member.ID)
		if err != nil {
			t.Fatal(err)
		}
		r.wait(10 * time.Hour)
		if m := r.member(h.Member.ID); m.State != prewarm.Claimed || ctx.Err() != nil {
			t.Errorf("during the work: %s because %s, %v", m.State, m.Reason, context.Cause(ctx))
		}
		end()
		r.wait(2 * time.Minute)
		if m := r.member(h.Member.ID); m.State != prewarm.Gone {
			t.Errorf("two minutes after the work: %s", m.State)
		}
	})
}

func TestEndOfAClaimEndsItsWork(t *testing.T) {
	bubble(t, 2, nil, func(r *rig) {
		h := r.claim(prewarm.Request{})
		ctx, end, err := r.pool.Work(context.Background(), h.Member.ID)
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		r.backend.Crash(h.Member.Resource)
		<-ctx.Done()
		if cause := context.Cause(ctx); !errors.Is(cause, prewarm.ErrEnded) || !strings.Contains(cause.Error(), string(prewarm.ReasonStopped)) {
			t.Errorf("ended with %v", cause)
		}
		other := r.claim(prewarm.Request{})
		ctx, end, err = r.pool.Work(context.Background(), other.Member.ID)
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		r.stop()
		if cause := context.Cause(ctx); !errors.Is(cause, prewarm.ErrNotRunning) {
			t.Errorf("after the pool's end: %v", cause)
		}
	})
}

func TestReturnDestroys(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		h := r.claim(prewarm.Request{})
		if err := r.pool.Return(context.Background(), h.Member.ID); err != nil {
			t.Fatal(err)
		}
		if err := r.pool.Return(context.Background(), h.Member.ID); err != nil {
			t.Errorf("the second time: %v", err)
		}
		r.wait(time.Minute)
		if m := r.member(h.Member.ID); m.State != prewarm.Gone || m.Reason != prewarm.ReasonReturned {
			t.Errorf("%s because %s", m.State, m.Reason)
		}
		r.want(1, prewarm.Ready)
		if err := r.pool.Return(context.Background(), id(1)); !errors.Is(err, prewarm.ErrNotFound) {
			t.Errorf("an unknown member: %v", err)
		}
	})
}

func TestDestroyIsTriedAgain(t *testing.T) {
	bubble(t, 0, nil, func(r *rig) {
		h := r.claim(prewarm.Request{IfEmpty: prewarm.Cold})
		r.backend.Set(func(k *prewarmtest.Knobs) { k.DestroyErr = errors.New("busy") })
		if err := r.pool.Return(context.Background(), h.Member.ID); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Hour)
		m := r.member(h.Member.ID)
		if calls := r.backend.Calls().Destroy; m.State != prewarm.Deleting || m.Message != "prewarm: destroy: busy" || calls < 8 || calls > 20 {
			t.Errorf("%s (%q) after %d attempts in an hour", m.State, m.Message, calls)
		}
		r.backend.Set(func(k *prewarmtest.Knobs) { k.DestroyErr = nil })
		r.wait(20 * time.Minute)
		if m := r.member(h.Member.ID); m.State != prewarm.Gone || m.Reason != prewarm.ReasonReturned {
			t.Errorf("%s because %s", m.State, m.Reason)
		}
	})
}

func TestNothingIsServedBeforeOrAfterRun(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		fresh, err := prewarm.New(r.store, r.backend, r.cfg)
		if err != nil {
			t.Fatal(err)
		}
		early := make(chan error, 1)
		go func() {
			_, err := fresh.Claim(context.Background(), prewarm.Request{Owner: "ann"})
			early <- err
		}()
		r.wait(time.Minute)
		if len(early) != 0 {
			t.Errorf("before: %v", <-early)
		}
		defer run(t, fresh)()
		if err := <-early; err != nil {
			t.Errorf("once it runs: %v", err)
		}
		r.wait(time.Minute)
		r.claim(prewarm.Request{})
		failed := make(chan error, 1)
		go func() {
			_, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "bob", IfEmpty: prewarm.Wait, MaxWait: time.Hour})
			failed <- err
		}()
		r.wait(time.Second)
		r.stop()
		if err := <-failed; !errors.Is(err, prewarm.ErrNotRunning) {
			t.Errorf("waiting at the end: %v", err)
		}
		if _, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann"}); !errors.Is(err, prewarm.ErrNotRunning) {
			t.Errorf("after: %v", err)
		}
		if err := r.pool.Run(context.Background()); !errors.Is(err, prewarm.ErrAlreadyRun) {
			t.Errorf("ran twice: %v", err)
		}
	})
}

func TestPoolRefusesBadInput(t *testing.T) {
	backend, store := prewarmtest.New(nil), memory.NewMembers()
	for _, test := range []struct {
		field  string
		change func(c *prewarm.Config)
	}{
		{"Config.Interval", func(c *prewarm.Config) { c.Interval = -1 }},
		{"Config.Concurrency", func(c *prewarm.Config) { c.Concurrency = -1 }},
		{"Config.Batch", func(c *prewarm.Config) { c.Batch = -1 }},
		{"Config.AlertBelow", func(c *prewarm.Config) { c.AlertBelow = 2 }},
		{"Spec.Floor", func(c *prewarm.Config) { c.Spec.Floor = -1 }},
	} {
		cfg := prewarm.Config{Spec: pool(1)}
		test.change(&cfg)
		if _, err := prewarm.New(store, backend, cfg); field(err) != test.field {
			t.Errorf("%s: %v", test.field, err)
		}
	}
	if _, err := prewarm.New(nil, backend, prewarm.Config{Spec: pool(1)}); field(err) != "store" {
		t.Errorf("no store: %v", err)
	}
	if _, err := prewarm.New(store, nil, prewarm.Config{Spec: pool(1)}); field(err) != "backend" {
		t.Errorf("no backend: %v", err)
	}
	bubble(t, 1, nil, func(r *rig) {
		for _, test := range []struct {
			field  string
			change func(q *prewarm.Request)
		}{
			{"Request.Owner", func(q *prewarm.Request) { q.Owner = "" }},
			{"Request.Key", func(q *prewarm.Request) { q.Key = strings.Repeat("x", 201) }},
			{"Request.Tenant", func(q *prewarm.Request) { q.Tenant = strings.Repeat("x", 201) }},
			{"Request.IfEmpty", func(q *prewarm.Request) { q.IfEmpty = 9 }},
			{"Request.MaxWait", func(q *prewarm.Request) { q.MaxWait = -1 }},
			{"Request.Until", func(q *prewarm.Request) { q.Until = time.Now() }},
		} {
			q := prewarm.Request{Owner: "ann"}
			test.change(&q)
			if _, err := r.pool.Claim(context.Background(), q); !errors.Is(err, invalid.Err) || field(err) != test.field {
				t.Errorf("%s: %v", test.field, err)
			}
		}
		if err := r.pool.SetSpec(prewarm.Spec{Name: "other", Version: "v"}); field(err) != "Spec.Name" {
			t.Errorf("another name: %v", err)
		}
		if err := r.pool.SetSpec(prewarm.Spec{Name: "go-dev", Version: "v", Floor: -1}); field(err) != "Spec.Floor" {
			t.Errorf("a bad spec: %v", err)
		}
	})
}

func TestMetricsAreExported(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	bubble(t, 2, func(r *rig) { r.cfg.Registerer, r.cfg.Instance = registry, "one" }, func(r *rig) {
		r.claim(prewarm.Request{})
		r.wait(time.Minute)
		other := r.cfg
		other.Instance = "two"
		if _, err := prewarm.New(r.store, r.backend, other); err != nil {
			t.Errorf("a second instance: %v", err)
		}
		if _, err := prewarm.New(r.store, r.backend, r.cfg); err == nil {
			t.Error("two of one name share a registry")
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		found := make(map[string]float64)
		for _, f := range families {
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if l.GetValue() == "warm" && m.GetCounter() != nil {
						found[f.GetName()+" warm"] += m.GetCounter().GetValue()
					}
				}
				found[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		if found["dormouse_prewarm_claims_total warm"] != 1 || found["dormouse_prewarm_target"] != 2 {
			t.Errorf("metrics %v", found)
		}
		if idle := found["dormouse_prewarm_idle_member_seconds_total"]; idle < 200 || idle > 300 {
			t.Errorf("%v seconds idle, want two members for two and a half minutes", idle)
		}
	})
}
