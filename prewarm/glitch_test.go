package prewarm_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
)

// blank is a backend whose listings show nothing for a while, and whose events end all the time, so that it is listed often.
type blank struct {
	*prewarmtest.Backend
	on atomic.Bool
}

func (b *blank) List(ctx context.Context, pool string) ([]prewarm.Event, error) {
	if b.on.Load() {
		return nil, nil
	}
	return b.Backend.List(ctx, pool)
}

func (b *blank) Watch(ctx context.Context, pool string, tell func(prewarm.Event)) error {
	if b.on.Load() {
		return errors.New("connection reset")
	}
	return b.Backend.Watch(ctx, pool, tell)
}

// Listings that follow each other within one bad moment, in one process or in several, end nobody's claim. Those that agree for
// longer do.
func TestListingsOfOneBadMomentLoseNoClaim(t *testing.T) {
	bubble(t, 2, nil, func(r *rig) {
		r.stop()
		b := &blank{Backend: r.backend}
		first, err := prewarm.New(r.store, b, r.cfg)
		must(t, err)
		second, err := prewarm.New(r.store, b, r.cfg)
		must(t, err)
		b.on.Store(true)
		r.pool = first
		id := r.claimed()
		defer run(t, first)()
		defer run(t, second)()
		r.wait(40 * time.Second)
		if m := r.member(id); m.State != prewarm.Claimed {
			t.Errorf("after some listings that showed nothing it is %s for %s", m.State, m.Reason)
		}
		b.on.Store(false)
		r.wait(20 * time.Minute)
		if m := r.member(id); m.State != prewarm.Claimed || m.Misses != 0 {
			t.Errorf("when it is shown again it is %s, missed %d times", m.State, m.Misses)
		}
		b.on.Store(true)
		r.wait(15 * time.Minute)
		if m := r.member(id); m.State == prewarm.Claimed {
			t.Errorf("it is %s though nothing was shown for long", m.State)
		}
	})
}

// claimed has a member be somebody's for a day, without a pool that runs.
func (r *rig) claimed() uuid.UUID {
	r.t.Helper()
	grants, err := r.store.ClaimMembers(context.Background(), time.Now(), prewarm.Pick{Pool: r.cfg.Spec.Name, Version: "v1"},
		[]prewarm.Claim{{Key: "k", Owner: "ann", IdleTimeout: 24 * time.Hour}})
	if err != nil || grants[0].Result != prewarm.GrantNew {
		r.t.Fatal(grants, err)
	}
	return grants[0].Member.ID
}
