package prewarm_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
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
