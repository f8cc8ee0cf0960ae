package executor_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// countingBuilder counts what it is asked for and ends the tick at the n-th build.
type countingBuilder struct {
	n                int64
	cancel           context.CancelFunc
	prepared, builds atomic.Int64
}

func (b *countingBuilder) Prepare(context.Context, executor.Group) (executor.Preparation, error) {
	b.prepared.Add(1)
	return b, nil
}

func (b *countingBuilder) Build(context.Context, executor.BuildRequest) (executor.BuildSpec, error) {
	if b.builds.Add(1) == b.n {
		b.cancel()
	}
	return executor.BuildSpec{}, nil
}

func (b *countingBuilder) Close() error { return nil }

// A tick that is canceled asks the host for nothing more, neither in the group that is being built nor in the next ones.
func TestCanceledTickStopsBuilding(t *testing.T) {
	const concurrency = 4
	f := newFleet(t)
	due := dueStops(200)
	for i := range due {
		due[i].Build.TemplateVersionID = uuid.UUID{15: byte(i % 20)}
	}
	f.add(due...)
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	b := &countingBuilder{n: 60, cancel: cancel}
	_ = f.executor(executor.Config{Builder: b, Concurrency: concurrency}, nil).Tick(ctx, monday)
	if got := b.builds.Load(); got < b.n || got >= b.n+concurrency {
		t.Errorf("canceled at build %d, the builder was asked for %d builds", b.n, got)
	}
	if got := b.prepared.Load(); got > 20-4 {
		t.Errorf("canceled in the third of the groups, and %d of 20 were prepared", got)
	}
}
