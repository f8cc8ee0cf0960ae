package prewarm_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
	"github.com/dormouse-go/dormouse/store/memory"
)

// queued is a line of claims in several processes of a pool whose members become ready one by one.
type queued struct {
	*rig
	mu    sync.Mutex
	order []string // the tenants, as they were served
	all   sync.WaitGroup
}

func oneByOne(r *rig) { r.cfg.Spec.Ceiling, r.cfg.Spec.MaxStarting = 1, 1 }

// wait has claims of a tenant wait at a process.
func (q *queued) wait(p *prewarm.Pool, tenant string, n int) {
	for i := range n {
		q.all.Go(func() {
			_, err := p.Claim(context.Background(), prewarm.Request{
				Owner: fmt.Sprint(tenant, i), Tenant: tenant, IfEmpty: prewarm.Wait, MaxWait: 10 * time.Hour,
			})
			if err != nil {
				q.t.Errorf("claim: %v", err)
				return
			}
			q.mu.Lock()
			defer q.mu.Unlock()
			q.order = append(q.order, tenant)
		})
	}
	synctest.Wait()
}

// last returns the place at which the last claim of a tenant was served, from 1.
func (q *queued) last(tenant string) (place int) {
	for i, served := range q.order {
		if served == tenant {
			place = i + 1
		}
	}
	return place
}

// Tenants are served in turn whatever processes their claims wait in: a crowd at all of them gets no more of it.
func TestWaitingTenantsAreServedFairlyAmongProcesses(t *testing.T) {
	bubble(t, 0, oneByOne, func(r *rig) {
		q := queued{rig: r}
		processes := []*prewarm.Pool{r.pool, r.another(), r.another(), r.another()}
		for _, p := range processes[1:] {
			defer run(t, p)()
		}
		r.wait(10 * time.Second)
		for _, p := range processes {
			q.wait(p, "crowd", 3)
		}
		r.wait(5 * time.Second)
		q.wait(processes[1], "one", 1)
		q.wait(processes[2], "three", 3)
		q.all.Wait()
		if len(q.order) != 16 {
			t.Fatalf("%d are served", len(q.order))
		}
		// The crowd may have what it was about to get; then it is one of three, and one of two.
		if one, three := q.last("one"), q.last("three"); one > 3 || three > 8 {
			t.Errorf("served in the order %v", q.order)
		}
	})
}

// A tenant's claims are served in the order in which they came, whatever processes they wait in.
func TestFirstComeFirstServedAmongProcesses(t *testing.T) {
	bubble(t, 0, oneByOne, func(r *rig) {
		q := queued{rig: r}
		other := r.another()
		defer run(t, other)()
		var mu sync.Mutex
		var order []int
		for i := range 8 {
			p := []*prewarm.Pool{r.pool, other}[i%2]
			q.all.Go(func() {
				if _, err := p.Claim(context.Background(), prewarm.Request{Owner: "ann", IfEmpty: prewarm.Wait, MaxWait: time.Hour}); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			})
			r.wait(time.Second)
		}
		q.all.Wait()
		if fmt.Sprint(order) != "[0 1 2 3 4 5 6 7]" {
			t.Errorf("served in the order %v", order)
		}
	})
}

// Who waits in a process that is dead, or cannot use what is ready, holds nobody up for long; nor does nonsense.
func TestNotesOfTheDead(t *testing.T) {
	for name, note := range map[string]string{
		"dead":     `{"p":"dead","w":[{"t":"a","a":1},{"t":"b","a":2}]}`,
		"nonsense": `{"p":`,
		"future":   `{"p":"ahead","w":[{"t":"a","a":1}],"s":{"ann":9223372036854775807}}`,
		"huge":     `{"p":"huge","w":[` + strings.TrimSuffix(strings.Repeat(`{"t":"a","a":1},`, 200), ",") + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, nil, func(r *rig) {
				w := r.store.(prewarm.Watcher)
				said := make(chan struct{})
				stop := make(chan struct{})
				go func() {
					defer close(said)
					for {
						_ = w.AnnounceMembers(context.Background(), r.cfg.Spec.Name, note)
						select {
						case <-stop:
							return
						case <-time.After(500 * time.Millisecond):
						}
					}
				}()
				defer func() { close(stop); <-said }()
				r.wait(10 * time.Second)
				begun := time.Now()
				r.claim(prewarm.Request{Tenant: "ann", IfEmpty: prewarm.Wait})
				if took := time.Since(begun); took > r.pollOr(time.Second) {
					t.Errorf("a ready member was had after %v", took)
				}
				begun = time.Now()
				r.claim(prewarm.Request{Tenant: "ann", IfEmpty: prewarm.Wait, MaxWait: time.Hour})
				if took := time.Since(begun); took > 30*time.Second+200*time.Millisecond {
					t.Errorf("a member that is ready after 30 seconds was had after %v", took)
				}
			})
		})
	}
}

func (r *rig) pollOr(d time.Duration) time.Duration { return max(r.cfg.Poll, d) }

// A claim that fails if nothing is ready is answered at once, also while others wait elsewhere; a key gets what it had.
func TestClaimsBehindOthersAreAnswered(t *testing.T) {
	bubble(t, 1, func(r *rig) { oneByOne(r); r.cfg.Poll = time.Hour }, func(r *rig) {
		had := r.claim(prewarm.Request{Key: "k"})
		q := queued{rig: r}
		other := r.another()
		defer run(t, other)()
		q.wait(other, "crowd", 2)
		r.wait(time.Second)
		begun := time.Now()
		if _, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "bob"}); empty(err) == nil {
			t.Errorf("an empty pool: %v", err)
		}
		if again := r.claim(prewarm.Request{Key: "k"}); again.Member.ID != had.Member.ID {
			t.Errorf("the key got %s, and had %s", again.Member.ID, had.Member.ID)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("answered after %v", took)
		}
		q.all.Wait()
	})
}

// What only one tenant may have is given to it whoever else waits.
func TestReservesAreGivenBehindOthers(t *testing.T) {
	bubble(t, 0, func(r *rig) {
		r.cfg.Spec.Ceiling, r.cfg.Spec.Reserves, r.cfg.Poll = 1, map[string]int{"kept": 1}, time.Hour
	}, func(r *rig) {
		q := queued{rig: r}
		other := r.another()
		stop := run(t, other)
		ctx, cancel := context.WithCancel(context.Background())
		q.all.Go(func() {
			_, _ = other.Claim(ctx, prewarm.Request{Owner: "x", Tenant: "crowd", IfEmpty: prewarm.Wait, MaxWait: time.Hour})
		})
		r.wait(time.Second)
		h, err := r.pool.Claim(context.Background(), prewarm.Request{Owner: "ann", Tenant: "kept"})
		if err != nil || h.Source != prewarm.Warm {
			t.Errorf("got %+v, %v", h, err)
		}
		cancel()
		q.all.Wait()
		stop()
	})
}

// heard is a store whose watcher hears what the test says, and everything that the pools say.
type heard struct {
	prewarm.Store
	mu     sync.Mutex
	hear   []func(string)
	said   []string
	claims int
}

func (s *heard) WatchMembers(ctx context.Context, pool string, hear func(note string)) error {
	s.mu.Lock()
	s.hear = append(s.hear, hear)
	s.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

func (s *heard) AnnounceMembers(_ context.Context, _, note string) error {
	s.mu.Lock()
	s.said = append(s.said, note)
	s.mu.Unlock()
	s.shout(note)
	return nil
}

func (s *heard) shout(note string) {
	s.mu.Lock()
	hear := slices.Clone(s.hear)
	s.mu.Unlock()
	for _, h := range hear {
		h(note)
	}
}

func (s *heard) ClaimMembers(ctx context.Context, now time.Time, pick prewarm.Pick, claims []prewarm.Claim) ([]prewarm.Grant, error) {
	s.mu.Lock()
	s.claims++
	s.mu.Unlock()
	return s.Store.ClaimMembers(ctx, now, pick, claims)
}

// Whatever is shouted on the channel, as often as somebody likes: the store is asked no more often than the pause between two looks
// allows, a member reaches who waits, and tenants that nobody has stand in nobody's way for long.
func TestShoutedNotes(t *testing.T) {
	forged := func(i, places int) string {
		var b strings.Builder
		fmt.Fprintf(&b, `{"p":"forged %d","w":[`, i)
		for k := range places {
			fmt.Fprintf(&b, `{"t":"%d-%d","a":%d},`, i, k, k)
		}
		return strings.TrimSuffix(b.String(), ",") + `]}`
	}
	for name, note := range map[string]func(i int) string{
		"a member is ready": func(int) string { return "" },
		"new processes":     func(i int) string { return forged(i, 40) },
		"one that changes":  func(i int) string { return `{"p":"forged","w":[{"t":"x","a":` + fmt.Sprint(i) + `}]}` },
		"too much":          func(i int) string { return forged(i, 250) },
		"long names": func(i int) string {
			return `{"p":"x` + strings.Repeat("x", 3000) + fmt.Sprint(i) + `","w":[{"t":"x","a":1}]}`
		},
		"nonsense": func(i int) string { return strings.Repeat("[", i%4000) },
	} {
		t.Run(name, func(t *testing.T) {
			store := &heard{Store: memory.NewMembers()}
			bubble(t, 0, func(r *rig) { oneByOne(r); r.store, r.cfg.Poll = store, time.Minute }, func(r *rig) {
				q := queued{rig: r}
				for i := range 20 {
					q.wait(r.pool, fmt.Sprint("tenant", i), 1)
				}
				store.mu.Lock()
				before := store.claims
				store.mu.Unlock()
				for i := range 500 { // two seconds
					store.shout(note(i))
					time.Sleep(4 * time.Millisecond)
				}
				store.mu.Lock()
				asked := store.claims - before
				store.mu.Unlock()
				if asked > 110 { // one each 20 ms
					t.Errorf("%d claims were asked of the store in two seconds", asked)
				}
				begun := time.Now()
				q.all.Wait()
				if took := time.Since(begun); took > 30*time.Minute {
					t.Errorf("who waited was served after %v", took)
				}
			})
		})
	}
}

// Notes name no tenant and no owner.
func TestNotesTellNoTenants(t *testing.T) {
	store := &heard{Store: memory.NewMembers()}
	bubble(t, 0, func(r *rig) { oneByOne(r); r.store = store }, func(r *rig) {
		q := queued{rig: r}
		q.wait(r.pool, "secret project", 3)
		r.wait(10 * time.Second)
		q.all.Wait()
		r.wait(time.Minute)
	})
	said := strings.Join(store.said, "\n")
	if !strings.Contains(said, `"w":[{`) || !strings.Contains(said, `"s":{`) {
		t.Fatalf("nothing was said of who waits and who was served: %s", said)
	}
	if strings.Contains(said, "secret") {
		t.Errorf("said: %s", said)
	}
}

// A request that a store cannot keep is refused before it shares a call with others', as is one that a log would act on.
func TestTextsOfRequests(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		for _, bad := range []string{"a\x00b", "a\xffb", "a\nb", "\x1b[2J", "a\u202eb", "a\u2028b", "a\u3164b", strings.Repeat("x", 201)} {
			for field, q := range map[string]prewarm.Request{
				"Request.Owner": {Owner: bad}, "Request.Tenant": {Owner: "ann", Tenant: bad}, "Request.Key": {Owner: "ann", Key: bad},
			} {
				var e *invalid.Error
				if _, err := r.pool.Claim(context.Background(), q); !errors.As(err, &e) || e.Field != field {
					t.Errorf("%s %q: %v", field, bad, err)
				}
			}
			if _, err := r.pool.ExplainClaim(context.Background(), "ann", bad); !errors.Is(err, invalid.Err) {
				t.Errorf("explained %q: %v", bad, err)
			}
			spec := r.cfg.Spec
			spec.Reserves = map[string]int{bad: 1}
			if err := spec.Validate(); !errors.Is(err, invalid.Err) {
				t.Errorf("a reserve for %q: %v", bad, err)
			}
		}
	})
}

// What a backend and a person say is cut where it is kept.
func TestTextsOfBackends(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		r.backend.Set(func(k *prewarmtest.Knobs) { k.DestroyTakes = 10 * time.Second })
		long := strings.Repeat("\x1b", 1<<20)
		m := r.members(prewarm.Ready)[0]
		r.backend.Tell("go-dev", prewarm.Event{Resource: m.Resource, Generation: m.Generation, Status: prewarm.StatusStopped, Message: long})
		r.wait(time.Second)
		if got := r.member(m.ID).Message; got == "" || len(got) > 2000 || strings.Contains(got, "\x1b") {
			t.Errorf("a message of %d bytes is kept: %.20q", len(got), got)
		}
		if err := r.pool.Pause(context.Background(), "ann, by nobody\n"+long); err != nil {
			t.Fatal(err)
		}
		x, err := r.pool.Explain(context.Background())
		if err != nil || !strings.Contains(x.String(), `paused by "ann, by nobody`) || len(x.String()) > 5000 {
			t.Errorf("explained in %d bytes, %v", len(x.String()), err)
		}
	})
}
