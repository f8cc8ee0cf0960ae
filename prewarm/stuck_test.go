package prewarm_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/internal/outcall"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
)

// deaf is a backend and a cleaner that does not heed the contexts of some methods: their calls hang until the end of the test.
type deaf struct {
	*prewarmtest.Backend
	goOn chan struct{}

	mu   sync.Mutex
	to   map[string]bool
	hung map[string]int
	// of says for which members it is deaf, nil for all.
	of func(prewarm.Member) bool
}

// turn makes the methods deaf that are named, and no others.
func (d *deaf) turn(to ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.to)
	for _, what := range to {
		d.to[what] = true
	}
}

func (d *deaf) hang(what string, of ...prewarm.Member) {
	d.mu.Lock()
	hangs := d.to[what] && (d.of == nil || d.of(of[0]))
	if hangs {
		d.hung[what]++
	}
	d.mu.Unlock()
	if hangs {
		<-d.goOn
	}
}

func (d *deaf) hanging(what string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hung[what]
}

func (d *deaf) Create(ctx context.Context, m prewarm.Member) (prewarm.Status, error) {
	d.hang("create", m)
	return d.Backend.Create(ctx, m)
}

func (d *deaf) Destroy(ctx context.Context, m prewarm.Member) error {
	d.hang("destroy", m)
	return d.Backend.Destroy(ctx, m)
}

func (d *deaf) List(ctx context.Context, pool string) ([]prewarm.Event, error) {
	d.hang("list")
	return d.Backend.List(ctx, pool)
}

func (d *deaf) Watch(ctx context.Context, pool string, tell func(prewarm.Event)) error {
	d.hang("watch")
	return d.Backend.Watch(ctx, pool, tell)
}

func (d *deaf) Mark(ctx context.Context, m prewarm.Member) error {
	d.hang("mark", m)
	return d.Backend.Mark(ctx, m)
}

func (d *deaf) Clean(context.Context, prewarm.Member) (bool, error) {
	d.hang("clean")
	return true, nil
}

// withDeaf runs a test with a pool of three over a backend that is deaf to what the test says.
func withDeaf(t *testing.T, configure func(r *rig), test func(r *rig, d *deaf)) {
	t.Helper()
	bubble(t, 0, nil, func(r *rig) {
		r.stop()
		r.mayHang = true // Run says so, which some tests look at
		d := &deaf{Backend: r.backend, goOn: make(chan struct{}), to: make(map[string]bool), hung: make(map[string]int)}
		r.cfg.Concurrency, r.cfg.Spec.Floor, r.cfg.Spec.Ceiling, r.cfg.Spec.ReadyTimeout = 1, 3, 3, time.Minute
		configure(r)
		r.cfg.Cleaner = d
		p, err := prewarm.New(r.store, d, r.cfg)
		must(t, err)
		r.runs(p)
		r.wait(3 * time.Minute)
		r.want(3, prewarm.Ready)
		test(r, d)
		r.stop()
		close(d.goOn)
		r.wait(time.Minute)
	})
}

// A call of the backend that ignores its context costs what it is about, and its time.
func TestBackendThatDoesNotReturn(t *testing.T) {
	withDeaf(t, func(*rig) {}, func(r *rig, d *deaf) {
		ctx := context.Background()
		d.turn("create")
		r.claim(prewarm.Request{})
		r.wait(time.Second)
		d.turn()
		r.wait(3 * time.Minute)
		r.want(3, prewarm.Ready)
		if s := r.pool.Stats(); d.hanging("create") != 1 || s.Failures != 1 || s.Stuck != 1 {
			t.Errorf("%d creations hang, %d are counted, %d failures: %s", d.hanging("create"), s.Stuck, s.Failures, r.census())
		}

		d.turn("mark")
		begun := time.Now()
		_, err := r.pool.Claim(ctx, prewarm.Request{Owner: "bob", Key: "k"})
		if err == nil || !strings.Contains(err.Error(), "does not return") || time.Since(begun) > 15*time.Second {
			t.Errorf("a mark that hangs: %v after %v", err, time.Since(begun))
		}
		d.turn()
		if h := r.claim(prewarm.Request{Owner: "bob", Key: "k"}); h.Source != prewarm.Repeated {
			t.Errorf("the key got a member that is %s", h.Source)
		}

		d.turn("list")
		r.wait(6 * time.Minute)
		if r.pool.Stats().Unknown == 0 {
			t.Error("a listing that hangs is none")
		}
		d.turn()
		r.backend.Forget(r.members(prewarm.Ready)[0].Resource)
		r.wait(10 * time.Minute)
		r.want(3, prewarm.Ready)
		if n := len(r.backend.Resources()); n != 5 { // of the ready and the claimed ones
			t.Errorf("%d resources", n)
		}
	})
}

// A member that is not cleaned in time is in doubt, whatever becomes of the call.
func TestCleanerThatDoesNotReturn(t *testing.T) {
	reuse := func(r *rig) { r.cfg.Spec.Quarantine, r.cfg.Spec.Reuse = time.Hour, prewarm.Reuse{MaxUses: 5} }
	withDeaf(t, reuse, func(r *rig, d *deaf) {
		d.turn("clean")
		must(t, r.pool.Return(context.Background(), r.claim(prewarm.Request{}).Member.ID))
		r.wait(2 * time.Minute)
		r.want(1, prewarm.Quarantined)
		r.want(3, prewarm.Ready)
	})
}

// Of two members that are destroyed the one whose call hangs holds up the other for its time only, and is destroyed later.
func TestDestructionThatDoesNotReturn(t *testing.T) {
	withDeaf(t, func(*rig) {}, func(r *rig, d *deaf) {
		a, b := r.claim(prewarm.Request{}), r.claim(prewarm.Request{})
		d.turn("destroy")
		must(t, r.pool.Return(context.Background(), a.Member.ID))
		r.wait(time.Second)
		d.turn()
		must(t, r.pool.Return(context.Background(), b.Member.ID))
		r.wait(2 * time.Minute)
		for _, h := range []prewarm.Handout{a, b} {
			if got := r.member(h.Member.ID).State; got != prewarm.Gone {
				t.Errorf("a returned member is %s", got)
			}
		}
		if d.hanging("destroy") != 1 {
			t.Errorf("%d destructions hang", d.hanging("destroy"))
		}
	})
}

// Run returns soon though every method of the backend hangs, and names those that do.
func TestRunDoesNotWaitForTheDeaf(t *testing.T) {
	all := []string{"create", "destroy", "list", "watch", "mark", "clean"}
	withDeaf(t, func(*rig) {}, func(r *rig, d *deaf) {
		d.turn(all...)
		r.backend.Break()
		claimed := make(chan error, 1)
		go func() {
			_, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann"})
			claimed <- err
		}()
		r.wait(2 * time.Second)
		begun := time.Now()
		r.stop()
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("Run returned after %v", took)
		}
		if err := <-claimed; err == nil {
			t.Error("a member was handed out whose mark hangs")
		}
		for _, what := range []string{"create", "list", "watch", "mark"} {
			if d.hanging(what) == 0 {
				t.Errorf("no call of %s hangs", what)
			}
			if what != "mark" && !names(r.ended, what) { // that one belongs to the claim, which may still wait for it
				t.Errorf("Run returned %v, want what names %q", r.ended, what)
			}
		}
	})
}

// names reports whether an error names a call that has not returned.
func names(err error, what string) bool {
	return errors.Is(err, context.DeadlineExceeded) && strings.Contains(err.Error(), "pool go-dev: "+what)
}

// deafStore is a store one method of which does not heed its context: its calls hang until the end of the test.
type deafStore struct {
	prewarm.Store
	goOn chan struct{}
	to   atomic.Value // the name of the method, a string
	hung atomic.Int32
}

func (d *deafStore) hang(method string) {
	if d.to.Load() == method {
		d.hung.Add(1)
		<-d.goOn
	}
}

func (d *deafStore) Members(ctx context.Context, q prewarm.Query) ([]prewarm.Member, error) {
	d.hang("read members")
	return d.Store.Members(ctx, q)
}

func (d *deafStore) PoolState(ctx context.Context, pool string) (prewarm.PoolState, error) {
	d.hang("read the pool's state")
	return d.Store.PoolState(ctx, pool)
}

func (d *deafStore) PutMembers(ctx context.Context, s *prewarm.PoolState, changes []prewarm.Change) ([]bool, error) {
	d.hang("write members")
	return d.Store.PutMembers(ctx, s, changes)
}

func (d *deafStore) ClaimMembers(ctx context.Context, now time.Time, pick prewarm.Pick, claims []prewarm.Claim) ([]prewarm.Grant, error) {
	d.hang("claim")
	return d.Store.ClaimMembers(ctx, now, pick, claims)
}

func (d *deafStore) AnnounceMembers(ctx context.Context, pool, note string) error {
	d.hang("announce")
	return d.Store.(prewarm.Watcher).AnnounceMembers(ctx, pool, note)
}

func (d *deafStore) WatchMembers(ctx context.Context, pool string, tell func(string)) error {
	d.hang("hear announcements")
	return d.Store.(prewarm.Watcher).WatchMembers(ctx, pool, tell)
}

// A store that ignores its contexts costs a call its time: the pool goes on when it answers again, and Run ends with an error that
// names what hangs.
func TestStoreThatDoesNotReturn(t *testing.T) {
	for _, method := range []string{"read members", "read the pool's state", "write members", "claim", "announce", "hear announcements"} {
		t.Run(method, func(t *testing.T) {
			store := &deafStore{}
			store.to.Store("")
			deaf := func(r *rig) { store.Store, r.store, r.mayHang = r.store, store, true }
			bubble(t, 3, deaf, func(r *rig) {
				release := make(chan struct{})
				store.goOn = release
				if method == "hear announcements" {
					r.stop()
					store.to.Store(method)
					r.start()
				}
				store.to.Store(method)
				_, _ = r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann"})
				r.wait(time.Minute)
				store.to.Store("")
				r.wait(10 * time.Minute)
				r.claim(prewarm.Request{Owner: "bob"})
				if store.hung.Load() == 0 || r.pool.Stats().Stuck != int(store.hung.Load()) && method != "hear announcements" {
					t.Errorf("%d calls hang, %d are counted", store.hung.Load(), r.pool.Stats().Stuck)
				}
				begun := time.Now()
				r.stop()
				if took := time.Since(begun); took > 20*time.Second || !names(r.ended, method) {
					t.Errorf("Run returned %v after %v, want what names %q", r.ended, took, method)
				}
				close(release)
				r.wait(time.Minute)
				if n := r.pool.Stats().Stuck; n != 0 {
					t.Errorf("%d calls are counted though they have returned", n)
				}
			})
		})
	}
}

// A host that does not return from Config.Events hears no more, and keeps Run no longer than its patience.
func TestEventsThatDoNotReturn(t *testing.T) {
	goOn := make(chan struct{})
	var told atomic.Int32
	hangs := func(r *rig) {
		goOn = make(chan struct{}) // of the bubble
		r.mayHang = true
		r.cfg.Events = func(prewarm.PoolEvent) { told.Add(1); <-goOn }
	}
	bubble(t, 1, hangs, func(r *rig) {
		must(t, r.pool.Pause(context.Background(), "ann"))
		must(t, r.pool.Resume(context.Background()))
		r.wait(time.Hour)
		begun := time.Now()
		r.stop()
		if took := time.Since(begun); took > 10*time.Second || !names(r.ended, "Config.Events") || told.Load() != 1 {
			t.Errorf("Run returned %v after %v, %d events were told", r.ended, took, told.Load())
		}
		close(goOn)
		r.wait(time.Minute)
	})
}

// One that is slow keeps Run from returning for a few seconds, however many events wait.
func TestSlowEventsAtTheEnd(t *testing.T) {
	var told atomic.Int32
	slow := func(r *rig) { r.cfg.Events = func(prewarm.PoolEvent) { told.Add(1); time.Sleep(2 * time.Second) } }
	bubble(t, 1, slow, func(r *rig) {
		for range 25 {
			must(t, r.pool.Pause(context.Background(), "ann"))
			must(t, r.pool.Resume(context.Background()))
		}
		r.wait(time.Second)
		begun := time.Now()
		r.stop()
		if took := time.Since(begun); took > 10*time.Second || told.Load() < 2 {
			t.Errorf("Run returned after %v, %d events were told", took, told.Load())
		}
	})
}

// However long a method hangs, no more than a hundred of its calls are left behind; and it is called again when they return.
func TestCallsThatHangAreBounded(t *testing.T) {
	often := func(r *rig) { r.cfg.Relist, r.cfg.Timeout = 10*time.Second, time.Second }
	withDeaf(t, often, func(r *rig, d *deaf) {
		d.turn("list")
		r.wait(4 * time.Hour)
		if n := d.hanging("list"); n != 100 {
			t.Errorf("%d listings hang", n)
		}
		d.turn()
		close(d.goOn)
		r.wait(2 * time.Minute)
		unknown := r.pool.Stats().Unknown
		r.wait(10 * time.Minute)
		if now := r.pool.Stats().Unknown; now != unknown {
			t.Errorf("%d more listings failed", now-unknown)
		}
		d.goOn = make(chan struct{})
	})
}

// A member whose calls hang takes no places of others: however often its destruction is tried, others are destroyed.
func TestMemberThatCannotBeDestroyed(t *testing.T) {
	withDeaf(t, func(*rig) {}, func(r *rig, d *deaf) {
		stuck := r.claim(prewarm.Request{}).Member
		d.of = func(m prewarm.Member) bool { return m.ID == stuck.ID }
		d.turn("destroy")
		must(t, r.pool.Return(context.Background(), stuck.ID))
		r.wait(48 * time.Hour)
		other := r.claim(prewarm.Request{}).Member
		must(t, r.pool.Return(context.Background(), other.ID))
		r.wait(5 * time.Minute)
		if got := r.member(other.ID).State; got != prewarm.Gone {
			t.Errorf("beside one that hangs a returned member is %s: %s", got, r.member(other.ID).Message)
		}
		if n := d.hanging("destroy"); n != outcall.MaxOfOne {
			t.Errorf("%d destructions of one member hang", n)
		}
		if got := r.member(stuck.ID).Message; !strings.Contains(got, "not called: 3 calls of \"destroy resource "+stuck.Resource.String()) {
			t.Errorf("it says %q", got)
		}
	})
}

// Nor does a version whose members cannot be created: the next version's are.
func TestVersionThatCannotBeCreated(t *testing.T) {
	withDeaf(t, func(*rig) {}, func(r *rig, d *deaf) {
		old := r.cfg.Spec.Version
		d.of = func(m prewarm.Member) bool { return m.Version == old }
		d.turn("create")
		for range 3 {
			must(t, r.pool.Return(context.Background(), r.claim(prewarm.Request{}).Member.ID))
		}
		r.wait(96 * time.Hour)
		spec := r.cfg.Spec
		spec.Version = "next"
		must(t, r.pool.SetSpec(spec))
		r.wait(30 * time.Minute)
		r.want(3, prewarm.Ready)
		if n := d.hanging("create"); n != outcall.MaxOfPart {
			t.Errorf("%d creations of one version hang", n)
		}
	})
}
