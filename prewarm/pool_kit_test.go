package prewarm_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
	"github.com/dormouse-go/dormouse/store/memory"
)

// rig is a pool that runs in a bubble, over a store and a backend that may outlive it.
type rig struct {
	t       *testing.T
	store   prewarm.Store
	backend *prewarmtest.Backend
	cfg     prewarm.Config
	pool    *prewarm.Pool
	stop    func()
	// mayHang: Run may end with an error, which is ended once stop has returned.
	mayHang bool
	ended   error
}

// bubble runs a test with a pool of a size, once it is full.
func bubble(t *testing.T, size int, configure func(r *rig), test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, size)
		if configure != nil {
			configure(r)
		}
		r.start()
		defer func() { r.stop() }()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		test(r)
	})
}

func newRig(t *testing.T, size int) *rig {
	r := &rig{t: t, store: memory.NewMembers(), backend: prewarmtest.New(nil)}
	r.backend.Set(func(k *prewarmtest.Knobs) { k.Build = 30 * time.Second })
	r.cfg = prewarm.Config{Spec: pool(size), TrafficWindow: 10 * time.Minute, Logger: slog.New(slog.DiscardHandler)}
	r.cfg.Spec.HitRate = -1 // what a test claims does not change the size
	return r
}

// another returns a further replica of the pool.
func (r *rig) another() *prewarm.Pool {
	r.t.Helper()
	p, err := prewarm.New(r.store, r.backend, r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// start runs a pool; stop ends it, and may be called twice.
func (r *rig) start() {
	r.t.Helper()
	p, err := prewarm.New(r.store, r.backend, r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.runs(p)
	synctest.Wait()
}

// runs has p run as the pool of the test.
func (r *rig) runs(p *prewarm.Pool) {
	end := begin(p)
	r.pool = p
	r.stop = sync.OnceFunc(func() {
		if r.ended = end(); r.ended != nil && !r.mayHang {
			r.t.Errorf("Run: %v", r.ended)
		}
	})
}

func run(t *testing.T, p *prewarm.Pool) (stop func()) {
	end := begin(p)
	return sync.OnceFunc(func() {
		if err := end(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// begin runs a pool; end ends it, and returns what Run does.
func begin(p *prewarm.Pool) (end func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	return func() error { cancel(); return <-ended }
}

func (r *rig) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) claim(q prewarm.Request) prewarm.Handout {
	r.t.Helper()
	if q.Owner == "" {
		q.Owner = "ann"
	}
	h, err := r.pool.Claim(context.Background(), q)
	if err != nil {
		r.t.Fatalf("claim: %v", err)
	}
	return h
}

func (r *rig) members(states ...prewarm.State) []prewarm.Member {
	r.t.Helper()
	members, err := r.store.Members(context.Background(), prewarm.Query{Pool: r.cfg.Spec.Name, States: states})
	if err != nil {
		r.t.Fatal(err)
	}
	return members
}

// want checks how many members are in a state.
func (r *rig) want(n int, s prewarm.State) {
	r.t.Helper()
	if got := len(r.members(s)); got != n {
		r.t.Errorf("%d members are %s, want %d: %s", got, s, n, r.census())
	}
}

func (r *rig) census() string {
	counts := make(map[string]int)
	for _, m := range r.members() {
		counts[m.State.String()]++
	}
	return fmt.Sprint(counts)
}

func (r *rig) member(id uuid.UUID) prewarm.Member {
	r.t.Helper()
	found, err := r.store.Members(context.Background(), prewarm.Query{Pool: r.cfg.Spec.Name, IDs: []uuid.UUID{id}})
	if err != nil {
		r.t.Fatal(err)
	}
	if len(found) == 0 {
		return prewarm.Member{State: prewarm.Gone}
	}
	return found[0]
}

func empty(err error) *prewarm.EmptyError {
	var e *prewarm.EmptyError
	errors.As(err, &e)
	return e
}
