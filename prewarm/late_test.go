package prewarm_test

import (
	"context"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
)

// stoodStill is a backend whose process stands still in the middle of its first creation.
type stoodStill struct {
	*prewarmtest.Backend
	goOn chan struct{}
}

func (b stoodStill) Create(ctx context.Context, m prewarm.Member) (prewarm.Status, error) {
	<-b.goOn
	return b.Backend.Create(context.WithoutCancel(ctx), m)
}

// A creation that goes on after its member was given up and destroyed leaves nothing behind.
func TestCreatedAfterItWasGivenUp(t *testing.T) {
	bubble(t, 0, func(r *rig) { r.cfg.Spec.ReadyTimeout, r.cfg.Relist = time.Minute, 100*time.Hour }, func(r *rig) {
		r.stop()
		frozen := stoodStill{r.backend, make(chan struct{})}
		r.backend.Set(func(k *prewarmtest.Knobs) { k.Build = 0 })
		cfg := r.cfg
		cfg.Spec.Floor, cfg.Spec.Ceiling = 1, 1
		p, err := prewarm.New(r.store, frozen, cfg)
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, p)
		defer stop()
		r.wait(30 * time.Second)
		r.want(1, prewarm.Starting)
		other := cfg
		other.Spec.Floor, other.Spec.Ceiling = 0, 1
		q, err := prewarm.New(r.store, r.backend, other)
		if err != nil {
			t.Fatal(err)
		}
		stopOther := run(t, q)
		r.wait(3 * time.Minute)
		stopOther()
		before := len(r.backend.Resources())
		close(frozen.goOn)
		r.wait(3 * time.Minute)
		living := len(r.members(prewarm.Starting, prewarm.Ready, prewarm.Deleting))
		if n := len(r.backend.Resources()); before != 0 || n != living {
			t.Errorf("%d resources before, %d after, for %d members", before, n, living)
		}
	})
}
