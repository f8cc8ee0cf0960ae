package executor_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// BenchmarkTick is a tick with 2,000 due workspaces over the store in memory: B/op and allocs/op divided by 2,000 are the
// price of one.
func BenchmarkTick(b *testing.B) {
	none := executor.BuilderFunc(func(context.Context, executor.BuildRequest) (executor.BuildSpec, error) {
		return executor.BuildSpec{}, nil
	})
	for _, c := range []struct {
		name string
		cfg  executor.Config
	}{
		{"plain", executor.Config{}},
		{"builder", executor.Config{Builder: none}},
		{"caps", executor.Config{MaxTransitions: 1000}},
	} {
		c.cfg.Logger = slog.New(slog.DiscardHandler)
		b.Run(c.name, func(b *testing.B) { benchmarkTick(b, c.cfg, 2000) })
	}
}

func benchmarkTick(b *testing.B, cfg executor.Config, due int) {
	b.ReportAllocs()
	ctx := context.Background()
	all := dueStops(due)
	for b.Loop() {
		b.StopTimer()
		e, err := executor.New(dueStore(b, ctx, all), cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if s := e.Tick(ctx, monday.Add(time.Minute)); s.Err != nil || len(s.Transitions)+s.Held != due {
			b.Fatalf("tick: %+v", s)
		}
	}
}

// dueStore holds the workspaces, which have one template and one owner.
func dueStore(b *testing.B, ctx context.Context, all []lifecycle.Snapshot) lifecycle.Store {
	store := memory.New()
	workspaces := make([]lifecycle.Workspace, len(all))
	changes := make([]lifecycle.Change, len(all))
	for i, s := range all {
		s.Workspace.WakeAt, s.Build.Number = monday, 1
		workspaces[i] = s.Workspace
		changes[i] = lifecycle.Change{Revision: 1, Workspace: s.Workspace, Build: s.Build, NewBuild: true}
	}
	for _, err := range []error{
		store.PutTemplate(ctx, monday, all[0].Template), store.PutOwner(ctx, monday, all[0].Owner),
		store.CreateWorkspaces(ctx, monday, workspaces...),
	} {
		if err != nil {
			b.Fatal(err)
		}
	}
	if _, err := store.Commit(ctx, monday, changes); err != nil {
		b.Fatal(err)
	}
	return store
}
