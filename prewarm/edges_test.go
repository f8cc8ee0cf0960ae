package prewarm_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
)

// gate holds listings up once it is closed: what they show is of the instant at which they began.
type gate struct {
	*prewarmtest.Backend
	mu   sync.Mutex
	wait chan struct{}
}

func (g *gate) close() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	wait := make(chan struct{})
	g.wait = wait
	return sync.OnceFunc(func() {
		g.mu.Lock()
		g.wait = nil
		g.mu.Unlock()
		close(wait)
	})
}

func (g *gate) List(ctx context.Context, pool string) ([]prewarm.Event, error) {
	events, err := g.Backend.List(ctx, pool)
	g.mu.Lock()
	wait := g.wait
	g.mu.Unlock()
	if wait == nil {
		return events, err
	}
	select {
	case <-wait:
		return events, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// gated runs a pool over such a backend instead of the rig's.
func gated(r *rig) *gate {
	r.t.Helper()
	r.stop()
	g := &gate{Backend: r.backend}
	p, err := prewarm.New(r.store, g, r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.pool, r.stop = p, run(r.t, p)
	r.wait(time.Second)
	return g
}

// The reload of a depleted pool began before a claim and ended after it. The claimed member is not handed out a second time.
func TestFaultReloadUnderClaimsHandsOutTwice(t *testing.T) {
	bubble(t, 4, func(r *rig) {
		r.cfg.AlertBelow, r.cfg.AlertAfter, r.cfg.Relist, r.cfg.Timeout = 0.9, 5*time.Second, 100*time.Hour, time.Minute
	}, func(r *rig) {
		g := gated(r)
		seen := make(map[string]bool)
		claim := func() {
			h := r.claim(prewarm.Request{IdleTimeout: -1})
			if id := h.Member.Resource.String(); seen[id] {
				t.Errorf("%s was handed out twice", id)
			} else {
				seen[id] = true
			}
		}
		claim()
		open := g.close()
		defer open()
		r.wait(12 * time.Second) // an alert, and its listing is under way: three are ready in it
		if r.pool.Stats().Reloads != 1 {
			t.Fatalf("%d reloads: this tests nothing", r.pool.Stats().Reloads)
		}
		claim()
		claim()
		open()
		r.wait(0)
		r.want(3, prewarm.Claimed)
		for range 4 {
			claim()
			r.wait(time.Minute)
		}
		r.want(7, prewarm.Claimed)
	})
}

// A pool that fills up in time reloads nothing, and one that ends waits for no listing.
func TestAlertThatPassesAndAlertAtTheEnd(t *testing.T) {
	bubble(t, 4, func(r *rig) {
		r.cfg.AlertBelow, r.cfg.AlertAfter, r.cfg.Relist, r.cfg.Timeout = 0.5, time.Minute, 100*time.Hour, time.Hour
	}, func(r *rig) {
		for range 3 {
			r.claim(prewarm.Request{})
		}
		r.wait(10 * time.Second)
		if r.pool.Stats().AlertSince.IsZero() {
			t.Error("a quarter of the pool is no alert")
		}
		r.wait(time.Hour) // the replacements came after half a minute
		if s := r.pool.Stats(); s.Reloads != 0 || !s.AlertSince.IsZero() {
			t.Errorf("%d reloads, depleted since %v", s.Reloads, s.AlertSince)
		}
		g := gated(r)
		open := g.close()
		defer open()
		r.backend.Set(func(k *prewarmtest.Knobs) { k.NeverReady = true })
		for range 4 {
			r.claim(prewarm.Request{})
		}
		r.wait(2 * time.Minute)
		if r.pool.Stats().Reloads != 1 {
			t.Fatalf("%d reloads: this tests nothing", r.pool.Stats().Reloads)
		}
		begun := time.Now()
		r.stop()
		if took := time.Since(begun); took > time.Second {
			t.Errorf("Run took %v to end, its listing under way", took)
		}
	})
}

// Of a short idle life half must be left, not a whole minute.
func TestMinimumLifeOfAShortOne(t *testing.T) {
	bubble(t, 1, func(r *rig) {
		r.cfg.Spec.IdleLife = 40 * time.Second
		r.cfg.Interval = time.Hour
		r.backend.Set(func(k *prewarmtest.Knobs) { k.Build = 0 })
	}, func(r *rig) {
		until := func(left time.Duration) {
			r.wait(time.Until(r.members(prewarm.Ready)[0].Deadline) + time.Second) // a fresh one
			r.wait(time.Until(r.members(prewarm.Ready)[0].Deadline) - left)
		}
		until(19 * time.Second)
		if _, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann"}); empty(err) == nil || empty(err).Why.Reason != prewarm.MissExpiring {
			t.Errorf("19 seconds before its end: %v", err)
		}
		until(21 * time.Second)
		r.claim(prewarm.Request{})
	})
}

// A claim that shall not wait does not, though another one waits for a member with its key. It waits for what is built for the key.
func TestKeyOfAClaimThatWaits(t *testing.T) {
	bubble(t, 0, nil, func(r *rig) {
		r.backend.Set(func(k *prewarmtest.Knobs) { k.Build = 2 * time.Minute })
		waiting := make(chan prewarm.Handout, 1)
		go func() {
			h, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann", Key: "k", IfEmpty: prewarm.Cold})
			if err != nil {
				t.Error(err)
			}
			waiting <- h
		}()
		go func() {
			_, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann", Key: "l", IfEmpty: prewarm.Wait, MaxWait: time.Minute})
			if empty(err) == nil {
				t.Error(err)
			}
		}()
		r.wait(time.Second)
		for _, owner := range []string{"ann", "bob"} {
			begun := time.Now()
			_, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: owner, Key: "l"})
			if took := time.Since(begun); empty(err) == nil || took > time.Second {
				t.Errorf("a claim of %s that shall not wait: %v after %v", owner, err, took)
			}
		}
		if h, first := r.claim(prewarm.Request{Owner: "ann", Key: "k"}), <-waiting; h.Member.ID != first.Member.ID {
			t.Errorf("one key has members %s and %s", h.Member.ID, first.Member.ID)
		}
	})
}

// What is expected counts from a build time before it on, so that members are ready by then, and the hour before is served as well.
func TestForecastIsReadyByItsHour(t *testing.T) {
	f := &prewarm.Forecast{}
	f.PerHour[9] = 60 // Monday, 9:00
	spec := prewarm.Spec{Ceiling: 50, Demand: prewarm.Demand{BuildTime: 2 * time.Minute, Forecast: f}}
	for minutes, want := range map[int]int{57: 0, 58: 6, 60: 6, 119: 6, 120: 0} {
		if got := prewarm.Size(spec, t0.Add(time.Duration(minutes)*time.Minute)); got.Size != want {
			t.Errorf("%d minutes after 8: %v, want %d", minutes, got, want)
		}
	}
}

// A miss is demand: a pool of size zero grows by the claims that it could not serve, each owner counted once.
func TestMissesMakeThePoolGrow(t *testing.T) {
	bubble(t, 0, func(r *rig) {
		r.cfg.Spec.HitRate = 0.95
		r.cfg.Spec.Demand.BuildTime = 5 * time.Minute
	}, func(r *rig) {
		miss := func(owner string) {
			if _, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: owner}); empty(err) == nil {
				t.Errorf("%s: %v", owner, err)
			}
		}
		for range 5 {
			miss("ann")
		}
		r.wait(time.Second)
		again := len(r.members(prewarm.Starting))
		for _, owner := range []string{"bob", "cy", "di", "ed"} {
			miss(owner)
		}
		r.wait(time.Second)
		if others := len(r.members(prewarm.Starting)); again == 0 || others <= again {
			t.Errorf("%d are built for one who asks five times, %d for five", again, others)
		}
	})
}

// What the controller does itself is no activity: events, listings and plans do not keep a claim alive.
func TestLookingIsNoActivity(t *testing.T) {
	bubble(t, 1, func(r *rig) { r.cfg.Relist, r.cfg.Interval = 10*time.Second, time.Second }, func(r *rig) {
		h := r.claim(prewarm.Request{IdleTimeout: 10 * time.Minute})
		for range 59 {
			r.wait(10 * time.Second)
			r.backend.Tell("go-dev", prewarm.Event{Resource: h.Member.Resource, Generation: 1, Status: prewarm.StatusReady})
			if _, err := r.pool.ExplainClaim(context.Background(), "ann", h.Member.Claim.Key); err != nil {
				t.Fatal(err)
			}
		}
		if m := r.member(h.Member.ID); m.State != prewarm.Claimed {
			t.Errorf("before its time: %s because %s", m.State, m.Reason)
		}
		r.wait(11 * time.Second)
		if m := r.member(h.Member.ID); m.State != prewarm.Gone || m.Reason != prewarm.ReasonInactive {
			t.Errorf("after its time: %s because %s", m.State, m.Reason)
		}
	})
}

// A member that an event says nonsense of is put aside by itself, in a pool that runs, and the others are served.
func TestNonsensePutsOneMemberAside(t *testing.T) {
	bubble(t, 3, func(r *rig) { r.cfg.Spec.Quarantine = time.Hour }, func(r *rig) {
		r.backend.Tell("go-dev", prewarm.Event{Resource: r.members(prewarm.Ready)[1].Resource, Generation: 1, Status: prewarm.Status(99)})
		r.wait(time.Second)
		r.want(1, prewarm.Quarantined)
		r.want(2, prewarm.Ready)
		r.claim(prewarm.Request{})
		r.wait(time.Minute)
		r.want(3, prewarm.Ready)
		r.wait(time.Hour)
		r.want(0, prewarm.Quarantined)
	})
}

// The time of a claim ends when its member can be used, warm or cold, and one that cannot be used is no hit. So say the metrics.
func TestLatencyIsMeasuredUntilTheMemberCanBeUsed(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	bubble(t, 1, func(r *rig) { r.cfg.Registerer = registry }, func(r *rig) {
		if h := r.claim(prewarm.Request{}); h.Waited != 0 {
			t.Errorf("warm: %v", h.Waited)
		}
		if h := r.claim(prewarm.Request{IfEmpty: prewarm.Cold}); h.Waited < 30*time.Second {
			t.Errorf("cold: %v, a build takes 30 s", h.Waited)
		}
		r.wait(time.Minute)
		r.backend.Set(func(k *prewarmtest.Knobs) { k.MarkErr = errors.New("no route") })
		if _, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann"}); err == nil {
			t.Error("claimed although the backend does not know")
		}
		if s := r.pool.Stats(); s.Claims[prewarm.Warm] != 1 || s.Claims[prewarm.Built] != 1 || s.HitRate() != 0.5 {
			t.Errorf("stats %+v", s)
		}
		const took = "dormouse_prewarm_claim_duration_seconds"
		if n, seconds := series(t, registry, took, "warm"); n != 1 || seconds != 0 {
			t.Errorf("warm: %d claims took %v s", n, seconds)
		}
		if n, seconds := series(t, registry, took, "cold"); n != 1 || seconds < 30 {
			t.Errorf("cold: %d claims took %v s", n, seconds)
		}
		if _, n := series(t, registry, "dormouse_prewarm_misses_total", "drained"); n != 1 {
			t.Errorf("%v misses of a drained pool", n)
		}
	})
}

// series returns what a metric says of a label's value: how often, and how much in all.
func series(t *testing.T, r *prometheus.Registry, name, value string) (n uint64, sum float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetValue() == value {
					return m.GetHistogram().GetSampleCount(), m.GetHistogram().GetSampleSum() + m.GetCounter().GetValue()
				}
			}
		}
	}
	t.Fatalf("no series of %s with %s", name, value)
	return 0, 0
}
