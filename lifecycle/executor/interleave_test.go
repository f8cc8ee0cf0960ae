package executor_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// gate lets the calls of several actors to one store through one at a time, in an order that is chosen.
type gate struct {
	mu      sync.Mutex
	waiting []waiter
}

type waiter struct {
	name string
	pass chan struct{}
}

func (g *gate) wait(name string) {
	w := waiter{name, make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	g.mu.Unlock()
	<-w.pass
}

// take returns who waits, by name, and empties the list.
func (g *gate) take() []waiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.waiting
	g.waiting = nil
	slices.SortFunc(all, func(a, b waiter) int { return strings.Compare(a.name, b.name) })
	return all
}

// gated is one actor's view of the store.
type gated struct {
	*memory.Store
	actor string
	gate  *gate
}

func (s gated) Due(ctx context.Context, q lifecycle.DueQuery) ([]lifecycle.Snapshot, error) {
	s.gate.wait(s.actor + " due")
	return s.Store.Due(ctx, q)
}

func (s gated) Load(ctx context.Context, ids ...uuid.UUID) ([]lifecycle.Snapshot, error) {
	s.gate.wait(s.actor + " load")
	return s.Store.Load(ctx, ids...)
}

func (s gated) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	s.gate.wait(s.actor + " commit " + changes[0].Workspace.ID.String()[32:])
	return s.Store.Commit(ctx, now, changes)
}

// explore runs a scenario once for every order in which its actors' calls can reach the store, and returns how many
// orders there are. A scenario starts its actors and returns what to check when all have ended.
func explore(t *testing.T, scenario func(t *testing.T, g *gate, actors *sync.WaitGroup) (check func())) int {
	t.Helper()
	var path []int // the choices of the run, one for each step with more than one call waiting
	for orders := 1; ; orders++ {
		var width []int
		synctest.Test(t, func(t *testing.T) {
			g, actors := &gate{}, &sync.WaitGroup{}
			check := scenario(t, g, actors)
			var trace []string
			for step := 0; ; {
				synctest.Wait() // every actor has ended or waits at the gate
				waiting := g.take()
				if len(waiting) == 0 {
					break
				}
				chosen := 0
				if len(waiting) > 1 {
					if step == len(path) {
						path = append(path, 0)
					}
					chosen, width = path[step], append(width, len(waiting))
					step++
				}
				g.mu.Lock()
				g.waiting = append(g.waiting, slices.Delete(slices.Clone(waiting), chosen, chosen+1)...)
				g.mu.Unlock()
				trace = append(trace, waiting[chosen].name)
				close(waiting[chosen].pass)
			}
			actors.Wait()
			check()
			if t.Failed() {
				t.Fatalf("in this order:\n  %s", strings.Join(trace, "\n  "))
			}
		})
		if t.Failed() {
			return orders
		}
		for len(path) > 0 && path[len(path)-1] == width[len(path)-1]-1 {
			path = path[:len(path)-1]
		}
		if len(path) == 0 {
			return orders
		}
		path[len(path)-1]++
	}
}

// smallFleet is a store without a clock.
func smallFleet(t *testing.T, all ...lifecycle.Snapshot) *fleet {
	f := &fleet{T: t, store: memory.New(), ctx: t.Context()}
	f.add(all...)
	return f
}

// tickers starts n executors that tick once, and returns their stats.
func (f *fleet) tickers(g *gate, actors *sync.WaitGroup, n int, cfg executor.Config) []executor.Stats {
	stats := make([]executor.Stats, n)
	for i := range n {
		e, err := executor.New(gated{f.store, string(rune('A' + i)), g}, cfg)
		f.must(err)
		actors.Go(func() { stats[i] = e.Tick(f.ctx, monday) })
	}
	return stats
}

// Executors on one store, in every order in which their reads and writes can meet: each transition once, and every
// change is accounted for as done or as a conflict.
func TestExecutorsInEveryOrder(t *testing.T) {
	for _, c := range []struct {
		executors, page, batch, fleet int
	}{{2, 10, 10, 3}, {2, 10, 1, 2}, {2, 1, 10, 2}, {2, 2, 2, 3}, {3, 10, 10, 2}} {
		orders := explore(t, func(t *testing.T, g *gate, actors *sync.WaitGroup) func() {
			f := smallFleet(t, dueStops(c.fleet)...)
			stats := f.tickers(g, actors, c.executors, executor.Config{PageSize: c.page, BatchSize: c.batch, CommitsInFlight: 1})
			return func() {
				done, seen, conflicts := 0, 0, 0
				for _, s := range stats {
					done, seen, conflicts = done+len(s.Transitions), seen+s.Evaluated, conflicts+s.Conflicts
					if s.Err != nil || len(s.Errors) > 0 {
						t.Errorf("errors %v %v", s.Err, s.Errors)
					}
				}
				if f.queued(c.fleet) != c.fleet || done != c.fleet || seen != done+conflicts || len(f.jobs()) != c.fleet {
					t.Errorf("%d builds, %d jobs, %d transitions and %d conflicts of %d seen", f.queued(c.fleet), len(f.jobs()), done, conflicts, seen)
				}
			}
		})
		t.Logf("%+v: %d orders", c, orders)
		if orders < 6 {
			t.Errorf("only %d orders: the gate does not see the calls", orders)
		}
	}
}

// With caps an executor builds from what it read, and a change in between is a conflict.
func TestTwoExecutorsWithCapsInEveryOrder(t *testing.T) {
	orders := explore(t, func(t *testing.T, g *gate, actors *sync.WaitGroup) func() {
		f := smallFleet(t, dueStops(3)...)
		stats := f.tickers(g, actors, 2, executor.Config{MaxTransitions: 2, CommitsInFlight: 1})
		return func() {
			done := len(stats[0].Transitions) + len(stats[1].Transitions)
			if f.queued(3) != done || done < 2 || len(stats[0].Transitions) > 2 || len(stats[1].Transitions) > 2 {
				t.Errorf("%d builds, transitions %v and %v", f.queued(3), stats[0].Transitions, stats[1].Transitions)
			}
		}
	})
	t.Logf("%d orders", orders)
}

// A person who acts while an executor ticks: both happen, one after the other, on values that were current.
func TestAVerbAgainstATickInEveryOrder(t *testing.T) {
	for name, verb := range map[string]lifecycle.Verb{
		"hold": lifecycle.SetHold(lifecycle.Hold{Until: monday.Add(day)}), "stop": lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil), "updates": lifecycle.SetAutomaticUpdates(true),
	} {
		orders := explore(t, func(t *testing.T, g *gate, actors *sync.WaitGroup) func() {
			f := smallFleet(t, dueStops(2)...)
			stats := f.tickers(g, actors, 1, executor.Config{CommitsInFlight: 1})
			e, err := executor.New(gated{f.store, "person", g}, executor.Config{})
			f.must(err)
			var failed error
			actors.Go(func() { _, failed = e.Update(f.ctx, id(1), verb) })
			return func() {
				s, stops := f.load(1), f.queued(2)
				_, ticked := stats[0].Transitions[id(1)]
				switch {
				case f.load(2).Build.Number != 2:
					t.Error("the other workspace was not stopped")
				case name == "hold" && (failed != nil || s.Workspace.Hold.Until.IsZero()):
					t.Errorf("the hold was lost: %v", failed)
				case name == "stop" && (stops != 2 || (failed == nil) == ticked):
					t.Errorf("%d stops; by the tick %t, by hand %v", stops, ticked, failed)
				case name == "updates" && (failed != nil || !s.Workspace.AutomaticUpdates):
					t.Errorf("the setting was lost: %v", failed)
				case !ticked && stats[0].Conflicts == 0 && stats[0].Rearmed == 0 && stats[0].Evaluated == 2:
					t.Errorf("nothing was done and nothing is said of it: %+v", stats[0])
				}
			}
		})
		t.Logf("%s: %d orders", name, orders)
	}
}
