package executor_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// fleet is a store in memory, a clock that stands still, and what a test puts in.
type fleet struct {
	*testing.T
	store *memory.Store
	clock *quartz.Mock
	ctx   context.Context
}

func newFleet(t *testing.T) *fleet {
	clock := quartz.NewMock(t).WithLogger(quartz.NoOpLogger)
	clock.Set(monday)
	return &fleet{T: t, store: memory.New(), clock: clock, ctx: t.Context()}
}

// add stores workspaces as the snapshots say, due at once. Build numbers start from 1.
func (f *fleet) add(all ...lifecycle.Snapshot) {
	f.Helper()
	for _, s := range all {
		if _, ok, _ := f.store.Template(f.ctx, s.Template.ID); !ok {
			f.must(f.store.PutTemplate(f.ctx, monday, s.Template))
		}
		if _, ok, _ := f.store.Owner(f.ctx, s.Owner.ID); !ok {
			f.must(f.store.PutOwner(f.ctx, monday, s.Owner))
		}
		f.must(f.store.CreateWorkspaces(f.ctx, monday, s.Workspace))
		c := lifecycle.Change{Revision: 1, Workspace: s.Workspace, Build: s.Build, NewBuild: s.Build.Number > 0}
		if c.NewBuild {
			c.Build.Number = 1
		}
		if c.Workspace.WakeAt.IsZero() {
			c.Workspace.WakeAt = monday
		}
		f.commit(c)
	}
}

func (f *fleet) commit(c lifecycle.Change) {
	f.Helper()
	outcomes, err := f.store.Commit(f.ctx, monday, []lifecycle.Change{c})
	f.must(err)
	if outcomes[0] != lifecycle.Applied {
		f.Fatalf("the change of %s was not applied", c.Workspace.ID)
	}
}

func (f *fleet) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fleet) load(n int) lifecycle.Snapshot {
	f.Helper()
	found, err := f.store.Load(f.ctx, id(n))
	f.must(err)
	if len(found) != 1 {
		f.Fatalf("workspace %d is not there", n)
	}
	return found[0]
}

// executor over a store, the fleet's own if nil.
func (f *fleet) executor(cfg executor.Config, over lifecycle.Store) *executor.Executor {
	f.Helper()
	if over == nil {
		over = f.store
	}
	if cfg.Clock == nil && f.clock != nil { // in a bubble the clock is the real one
		cfg.Clock = f.clock
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	e, err := executor.New(over, cfg)
	f.must(err)
	return e
}

// jobs are the jobs of the latest builds.
func (f *fleet) jobs() []queue.Job {
	f.Helper()
	all, err := f.store.List(f.ctx, lifecycle.ListQuery{Limit: 1000})
	f.must(err)
	builds := []uuid.UUID{}
	for _, s := range all {
		builds = append(builds, s.Build.ID)
	}
	found, err := f.store.Jobs(f.ctx, queue.Filter{IDs: builds})
	f.must(err)
	return found
}

// numbered gives a snapshot the n-th id.
func numbered(n int, s lifecycle.Snapshot) lifecycle.Snapshot {
	s.Workspace.ID, s.Build.ID = id(n), id(0xb000+n)
	return s
}

// dueStops are n workspaces whose deadline is monday, with ids from 1, each later by a little than the one before.
func dueStops(n int) []lifecycle.Snapshot {
	var all []lifecycle.Snapshot
	for i := range n {
		all = append(all, numbered(i+1, running(deadline(monday.Add(-time.Minute).Add(time.Duration(i)*time.Millisecond)))))
	}
	return all
}

// queued counts the stops that were queued for workspaces 1 to n, and fails if one has more than one.
func (f *fleet) queued(n int) int {
	f.Helper()
	count := 0
	for i := 1; i <= n; i++ {
		b := f.load(i).Build
		if b.Number > 2 {
			f.Fatalf("workspace %d has %d builds", i, b.Number)
		}
		if b.Number == 2 {
			count++
		}
	}
	return count
}

// want compares what a tick did to each workspace with what is wanted, in words.
func wantStats(t *testing.T, s executor.Stats, transitions, skipped, errs int) {
	t.Helper()
	if len(s.Transitions) != transitions || len(s.Skipped) != skipped || len(s.Errors) != errs {
		t.Errorf("%d transitions, %d skipped, %d errors; want %d, %d, %d\n%+v",
			len(s.Transitions), len(s.Skipped), len(s.Errors), transitions, skipped, errs, s)
	}
}

// hooked is a store whose calls a test looks at or breaks.
type hooked struct {
	*memory.Store
	due    func() error
	load   func() error
	commit func(changes []lifecycle.Change) error
}

func (h *hooked) Due(ctx context.Context, q lifecycle.DueQuery) ([]lifecycle.Snapshot, error) {
	if h.due != nil {
		if err := h.due(); err != nil {
			return nil, err
		}
	}
	return h.Store.Due(ctx, q)
}

func (h *hooked) Load(ctx context.Context, ids ...uuid.UUID) ([]lifecycle.Snapshot, error) {
	if h.load != nil {
		if err := h.load(); err != nil {
			return nil, err
		}
	}
	return h.Store.Load(ctx, ids...)
}

func (h *hooked) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	if h.commit != nil {
		if err := h.commit(changes); err != nil {
			return nil, err
		}
	}
	return h.Store.Commit(ctx, now, changes)
}

// quiet keeps what tests provoke out of their output.
var quiet = slog.New(slog.DiscardHandler)

// bare hides every ability of a store beyond the three methods.
type bare struct{ lifecycle.Store }

// counter counts by name, from many goroutines.
type counter struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counter) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[name]++
}

func (c *counter) get(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[name]
}
