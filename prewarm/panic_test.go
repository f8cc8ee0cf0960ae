package prewarm_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
)

// wild is a backend and a cleaner whose calls panic.
type wild struct {
	*prewarmtest.Backend
	create, list, watch, mark, clean atomic.Bool
}

func upset(is *atomic.Bool) {
	if is.Load() {
		panic("index out of range")
	}
}

func (w *wild) Create(ctx context.Context, m prewarm.Member) (prewarm.Status, error) {
	upset(&w.create)
	return w.Backend.Create(ctx, m)
}

func (w *wild) List(ctx context.Context, pool string) ([]prewarm.Event, error) {
	upset(&w.list)
	return w.Backend.List(ctx, pool)
}

func (w *wild) Watch(ctx context.Context, pool string, tell func(prewarm.Event)) error {
	upset(&w.watch)
	return w.Backend.Watch(ctx, pool, tell)
}

func (w *wild) Mark(ctx context.Context, m prewarm.Member) error {
	upset(&w.mark)
	return w.Backend.Mark(ctx, m)
}

func (w *wild) Clean(context.Context, prewarm.Member) (bool, error) {
	upset(&w.clean)
	return true, nil
}

// A backend that panics is one that fails: what it was about is retried or put aside, and the host lives.
func TestBackendThatPanics(t *testing.T) {
	bubble(t, 2, nil, func(r *rig) {
		r.stop()
		w := &wild{Backend: r.backend}
		for _, is := range []*atomic.Bool{&w.list, &w.watch, &w.mark, &w.clean} {
			is.Store(true)
		}
		r.cfg.Cleaner, r.cfg.Spec.Quarantine, r.cfg.Spec.Reuse = w, time.Hour, prewarm.Reuse{MaxUses: 5}
		p, err := prewarm.New(r.store, w, r.cfg)
		must(t, err)
		r.pool, r.stop = p, run(t, p)
		r.wait(time.Minute)
		if p.Stats().Unknown == 0 {
			t.Error("a listing that panics is none")
		}
		_, err = p.Claim(context.Background(), prewarm.Request{Owner: "ann", Key: "k"})
		if err == nil || !strings.Contains(err.Error(), "index out of range") {
			t.Errorf("a mark that panics: %v", err)
		}
		w.mark.Store(false)
		h := r.claim(prewarm.Request{Key: "k"})
		must(t, p.Return(context.Background(), h.Member.ID))
		r.wait(time.Second)
		r.want(1, prewarm.Quarantined)
		w.list.Store(false)
		w.watch.Store(false)
		w.create.Store(true)
		r.claim(prewarm.Request{})
		r.wait(time.Minute)
		if s := p.Stats(); s.Failures == 0 {
			t.Errorf("creations that panic are no failures: %+v", s)
		}
		w.create.Store(false)
		must(t, p.Resume(context.Background()))
		r.wait(3 * time.Minute)
		r.want(2, prewarm.Ready)
	})
}
