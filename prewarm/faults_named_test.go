package prewarm_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
)

// After a reconnect the table of claimed runners held an object that was destroyed, for a runner that lived: the destroy of
// the old one removed the new one, since both had one id. Here the resource of a returned member goes on under another
// one: what happens to the old one does not reach it.
func TestFaultReconnectKeepsADestroyedObject(t *testing.T) {
	before := with(1, prewarm.Gone).members[0]
	after := with(1, prewarm.Claimed).members[0]
	after.ID, after.Resource = id(7), before.Resource
	listing := []prewarm.Event{{Resource: before.Resource, Status: prewarm.StatusReady}}
	for range 3 { // reconnects
		if changed, orphans := prewarm.Reconcile(pool(0), []prewarm.Member{before, after}, listing, t0, t0); len(changed)+len(orphans) != 0 {
			t.Errorf("a reconnect changed %+v, found %+v", changed, orphans)
		}
	}
	d := prewarm.Plan(pool(0), []prewarm.Member{before, after}, prewarm.Failures{}, t0)
	for _, a := range d.Actions {
		if a.Member == after.ID {
			t.Errorf("the end of the old member reaches the new one: %+v", a)
		}
	}
	if next, ok := prewarm.Observe(pool(0), before, listing[0], t0); ok {
		t.Errorf("an ended member is %+v again", next)
	}
}

// The statistics crashed when the environment of a claimed runner had been deleted.
func TestFaultStatisticsOfADeletedPool(t *testing.T) {
	registry := prometheus.NewRegistry()
	bubble(t, 2, func(r *rig) { r.cfg.Registerer = registry }, func(r *rig) {
		r.claim(prewarm.Request{})
		gone := r.cfg.Spec
		gone.Err = errors.New("the template was deleted")
		if err := r.pool.SetSpec(gone); err != nil {
			t.Fatal(err)
		}
		r.wait(10 * time.Minute)
		if s := r.pool.Stats(); s.Claimed != 1 {
			t.Errorf("stats %+v", s)
		}
		if _, err := registry.Gather(); err != nil {
			t.Error(err)
		}
		if e, err := r.pool.Explain(context.Background()); err != nil || e.String() == "" {
			t.Errorf("explained as %q, %v", e, err)
		}
		r.want(1, prewarm.Claimed)
	})
}

// A listing that compared ids of two forms found no match, and wiped what was ready.
func TestFaultListingWipesReadyMembers(t *testing.T) {
	bubble(t, 3, func(r *rig) { r.cfg.Relist = time.Minute }, func(r *rig) {
		lists, destroys := r.backend.Calls().List, r.backend.Calls().Destroy
		r.wait(10 * time.Minute)
		if n := r.backend.Calls().List - lists; n < 9 {
			t.Errorf("%d listings in ten minutes", n)
		}
		if n := r.backend.Calls().Destroy - destroys; n != 0 {
			t.Errorf("%d destroyed by listings", n)
		}
		r.want(3, prewarm.Ready)
	})
}

// A failure before there was a record was not counted, and tried again at every tick.
func TestFaultFailureWithoutARecordIsNotCounted(t *testing.T) {
	bubble(t, 1, knobs(func(k *prewarmtest.Knobs) { k.CreateErr = errors.New("parameter region is missing") }), func(r *rig) {
		before := r.backend.Calls().Create
		r.wait(time.Hour)
		if n := r.backend.Calls().Create - before; n > 9 {
			t.Errorf("%d attempts in an hour", n)
		}
		e, err := r.pool.Explain(context.Background())
		if err != nil || !strings.Contains(e.String(), "parameter region is missing") {
			t.Errorf("explained as %s, %v", e, err)
		}
	})
}

// A claim took what had expired and was not deleted yet.
func TestFaultExpiredMemberIsClaimed(t *testing.T) {
	bubble(t, 1, func(r *rig) {
		r.cfg.Spec.IdleLife = time.Hour
		r.cfg.Interval = 100 * time.Hour
	}, func(r *rig) {
		m := r.members(prewarm.Ready)[0]
		r.stop() // nobody looks at deadlines
		pick := prewarm.Pick{Pool: m.Pool, Version: m.Version, LivesUntil: m.Deadline.Add(time.Microsecond)}
		grants, err := r.store.ClaimMembers(context.Background(), m.Deadline, pick, []prewarm.Claim{{Key: "k", Owner: "ann"}})
		if err != nil || grants[0].Result != prewarm.GrantNone {
			t.Errorf("claimed what has expired: %+v, %v", grants, err)
		}
	})
}
