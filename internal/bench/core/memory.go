package core

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/memory"
)

// Memory measures what the store in memory costs, MemoryTick what a tick on it costs.
var (
	Memory     = figure.Suite{Name: "memory", Run: runMemory}
	MemoryTick = figure.Suite{Name: "tick", Run: runMemoryTick}
)

// fleet is a store of n running workspaces whose deadlines come minute after minute over some minutes from now.
func fleet(ctx context.Context, n, minutes int) (*memory.Store, error) {
	s := memory.New()
	t := lifecycle.Template{ID: uuid.New(), ActiveVersionID: uuid.New(), Policy: policy}
	if err := s.PutTemplate(ctx, now, t); err != nil {
		return nil, err
	}
	const owners = 1000
	ids := make([]uuid.UUID, owners)
	for i := range ids {
		ids[i] = uuid.New()
		if err := s.PutOwner(ctx, now, lifecycle.Owner{ID: ids[i], Name: fmt.Sprintf("owner-%d", i)}); err != nil {
			return nil, err
		}
	}
	var zones schedule.Interner
	const page = 1000
	for from := 0; from < n; from += page {
		var ws []lifecycle.Workspace
		for i := from; i < min(n, from+page); i++ {
			id, err := uuid.NewV7()
			if err != nil {
				return nil, err
			}
			ws = append(ws, lifecycle.Workspace{
				ID: id, OwnerID: ids[i%owners], TemplateID: t.ID, Name: fmt.Sprintf("workspace-%07d", i),
				CreatedAt: now.AddDate(0, -1, 0), LastUsedAt: now.Add(-time.Hour), TTL: 8 * time.Hour,
				Autostart: zones.Weekly(fmt.Sprintf("CRON_TZ=Europe/Berlin %d 7 * * 1-5", i%60)),
			})
		}
		if err := s.CreateWorkspaces(ctx, now, ws...); err != nil {
			return nil, err
		}
		if err := start(ctx, s, ws, from, minutes); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// start gives workspaces a start that succeeded, with deadlines spread over the minutes.
func start(ctx context.Context, s *memory.Store, ws []lifecycle.Workspace, from, minutes int) error {
	changes := make([]lifecycle.Change, len(ws))
	for i, w := range ws {
		deadline := now.Add(time.Duration(1+(from+i)%minutes) * time.Minute)
		w.WakeAt = deadline
		changes[i] = lifecycle.Change{Revision: 1, Workspace: w, NewBuild: true, Build: lifecycle.Build{
			ID: uuid.New(), Number: 1, TemplateVersionID: uuid.New(), Transition: lifecycle.TransitionStart,
			Status: lifecycle.JobSucceeded, Reason: lifecycle.ReasonManual,
			CreatedAt: now.Add(-time.Hour), CompletedAt: now.Add(-time.Hour), Deadline: deadline,
		}}
	}
	_, err := s.Commit(ctx, now, changes)
	return err
}

func size(r *figure.Recorder) int {
	if r.Full {
		return 1_000_000
	}
	return 200_000
}

func runMemory(ctx context.Context, r *figure.Recorder) error {
	n := size(r)
	r.Step("memory: %d workspaces", n)
	before := heap()
	s, err := fleet(ctx, n, 480)
	if err != nil {
		return err
	}
	r.AtMost(600, "memory/bytes", float64(heap()-before)/float64(n), "B",
		fmt.Sprintf("heap per workspace, its own fields, its build and its indexes included; %d workspaces, 1,000 owners", n))
	var gcs []time.Duration
	for range rounds {
		gcs = append(gcs, per(1, runtime.GC))
	}
	r.AtMost(30, "memory/gc", float64(meter.Median(gcs).Microseconds())/1000, "ms", fmt.Sprintf("CPU of one full collection with %d workspaces", n))
	runtime.KeepAlive(s)
	return nil
}

func heap() uint64 {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func runMemoryTick(ctx context.Context, r *figure.Recorder) error {
	if r.Wants("tick/memory/idle") {
		if err := idle(ctx, r); err != nil {
			return err
		}
	}
	if r.Wants("tick/memory/due") {
		return due(ctx, r)
	}
	return nil
}

func idle(ctx context.Context, r *figure.Recorder) error {
	n := size(r)
	r.Step("tick/memory/idle: %d workspaces", n)
	large, err := newExecutor(ctx, n)
	if err != nil {
		return err
	}
	small, err := newExecutor(ctx, 1000)
	if err != nil {
		return err
	}
	early := now.Add(-time.Hour)
	a, b, ratio := pair(2000, func() { large.Tick(ctx, early) }, func() { small.Tick(ctx, early) })
	r.AtMost(2, "tick/memory/idle", ratio, "x", fmt.Sprintf("idle tick at %d against 1,000: %v, %v", n, a, b))
	r.AtMost(10, "tick/memory/idle/time", float64(a.Nanoseconds())/1000, "us", "CPU of an idle tick")
	return nil
}

func newExecutor(ctx context.Context, n int) (*executor.Executor, error) {
	s, err := fleet(ctx, n, 480)
	if err != nil {
		return nil, err
	}
	return executor.New(s, executor.Config{Logger: slog.New(slog.DiscardHandler)})
}

// due compares ticks, minute after minute with one in a hundred due, with a loop that does the same by hand in turn: it reads
// what is due, decides, makes each build's job and commits. It has no groups, limits, statistics, metrics or time limits, and
// one goroutine.
func due(ctx context.Context, r *figure.Recorder) error {
	n := size(r)
	r.Step("tick/memory/due: %d workspaces, 1 %% due", n)
	s, err := fleet(ctx, n, 100)
	if err != nil {
		return err
	}
	e, err := executor.New(s, executor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	var ticks, loops []time.Duration
	var ratios []float64
	for round := range rounds + 1 {
		at := now.Add(time.Duration(2*round+1) * time.Minute)
		var stats executor.Stats
		tick := per(1, func() { stats = e.Tick(ctx, at) })
		if stats.Err != nil {
			return stats.Err
		}
		done := 0
		loop := per(1, func() { done, err = byHand(ctx, s, at.Add(time.Minute)) })
		if err != nil {
			return err
		}
		if stats.Count.Transitions != n/100 || done != n/100 {
			return fmt.Errorf("the tick made %d transitions, the loop %d; want %d", stats.Count.Transitions, done, n/100)
		}
		if round > 0 { // the first warms up
			ticks, loops, ratios = append(ticks, tick), append(loops, loop), append(ratios, float64(tick)/float64(loop))
		}
	}
	r.AtMost(1.2, "tick/memory/due", meter.Median(ratios), "x", fmt.Sprintf(
		"CPU of a tick with %d of %d due, jobs enqueued, against a loop by hand: %v, %v", n/100, n, meter.Median(ticks), meter.Median(loops)))
	return nil
}

// byHand makes the transitions that are due, in commits of the size that the executor has.
func byHand(ctx context.Context, s *memory.Store, at time.Time) (done int, err error) {
	for {
		page, err := s.Due(ctx, lifecycle.DueQuery{Now: at, Limit: 1000})
		if err != nil || len(page) == 0 {
			return done, err
		}
		for batch := range slices.Chunk(page, 100) {
			changes := make([]lifecycle.Change, len(batch))
			for i := range batch {
				if changes[i], err = changeOf(&batch[i], at); err != nil {
					return done, err
				}
			}
			outcomes, err := s.Commit(ctx, at, changes)
			if err != nil {
				return done, err
			}
			done += len(outcomes)
		}
	}
}

func changeOf(s *lifecycle.Snapshot, at time.Time) (lifecycle.Change, error) {
	d, _ := lifecycle.Evaluate(s, at)
	c := lifecycle.ApplyFor(*s, d, at, 0)
	id, err := uuid.NewV7()
	if err != nil {
		return c, err
	}
	w, b := &c.Workspace, &c.Build
	b.ID = id
	c.Job = &lifecycle.Job{
		ID: id, OrganizationID: w.OrganizationID, OwnerID: w.OwnerID, WorkspaceID: w.ID, TemplateID: w.TemplateID,
		TemplateVersionID: b.TemplateVersionID, BuildNumber: b.Number, Transition: b.Transition, Reason: b.Reason, CreatedAt: b.CreatedAt,
	}
	return c, nil
}
