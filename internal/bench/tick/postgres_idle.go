package tick

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// idleTick is the median of ticks that find nothing.
func idleTick(ctx context.Context, pool *pgxpool.Pool, n int) (time.Duration, error) {
	e, err := newReplica(pool, executor.Config{})
	if err != nil {
		return 0, err
	}
	var took []time.Duration
	for i := range n {
		begun := time.Now()
		stats := e.Tick(ctx, pgBegin.Add(time.Duration(i)*time.Second))
		took = append(took, time.Since(begun))
		if stats.Err != nil {
			return 0, stats.Err
		}
		if stats.Evaluated != 0 {
			return 0, fmt.Errorf("idle tick: %d evaluated", stats.Evaluated)
		}
	}
	return meter.Median(took), nil
}

// idle compares an idle tick with the query that the reference pattern begins every tick with.
func (b *pgBench) idle(ctx context.Context) error {
	if !b.r.Wants("tick/postgres/idle") {
		return nil
	}
	tick, err := idleTick(ctx, b.pool, 300)
	if err != nil {
		return err
	}
	var took []time.Duration
	for range 3 {
		begun := time.Now()
		ids, err := eligible(ctx, b.pool, pgBegin)
		took = append(took, time.Since(begun))
		if err != nil {
			return fmt.Errorf("eligibility query: %w", err)
		}
		if len(ids) != 0 {
			return fmt.Errorf("eligibility query: %d rows, none expected", len(ids))
		}
	}
	query := meter.Median(took)
	b.r.AtLeast(3000, "tick/postgres/idle", float64(query)/float64(tick), "x", fmt.Sprintf(
		"%d workspaces, %d builds each, nothing due: tick %v, reference's query %v", b.sizes.fleet, b.sizes.builds, ms(tick), ms(query)))
	return nil
}

// flat compares idle ticks on a small and a large fleet.
func (b *pgBench) flat(ctx context.Context) error {
	var pools [2]*pgxpool.Pool
	for i, n := range b.sizes.flat {
		b.r.Step("tick/postgres/flat: %d workspaces", n)
		pool, err := b.database(ctx, fmt.Sprintf("flat_%d", i), n, 1)
		if err != nil {
			return err
		}
		defer pool.Close()
		pools[i] = pool
	}
	var took [2][]time.Duration
	for range 5 { // in turn, so that both see the same machine
		for i, pool := range pools {
			d, err := idleTick(ctx, pool, 100)
			if err != nil {
				return err
			}
			took[i] = append(took[i], d)
		}
	}
	small, large := meter.Median(took[0]), meter.Median(took[1])
	b.r.AtMost(1.2, "tick/postgres/flat", float64(large)/float64(small), "x", fmt.Sprintf(
		"idle tick at %d workspaces %v, at %d %v", b.sizes.flat[1], ms(large), b.sizes.flat[0], ms(small)))
	return nil
}

// replicas has four executors tick at once over one group, against one alone over another.
func (b *pgBench) replicas(ctx context.Context) error {
	if !b.r.Wants("tick/postgres/replicas") {
		return nil
	}
	if err := b.ready(ctx, 2); err != nil {
		return err
	}
	alone, err := b.ticked(ctx, 1)
	if err != nil {
		return err
	}
	if err := rest(ctx, b.pool); err != nil {
		return err
	}
	now := b.next(1)
	var four [4]*executor.Executor
	for i := range four {
		var err error
		if four[i], err = newReplica(b.pool, executor.Config{}); err != nil {
			return err
		}
	}
	for range 2 { // so that each knows of the others
		for _, e := range four {
			if s := e.Tick(ctx, now.Add(-time.Minute)); s.Err != nil {
				return s.Err
			}
		}
	}
	var stats [4]executor.Stats
	var wg sync.WaitGroup
	begun := time.Now()
	for i, e := range four {
		wg.Go(func() { stats[i] = e.Tick(ctx, now) })
	}
	wg.Wait()
	took := time.Since(begun)
	evaluated, transitions := 0, 0
	for _, s := range stats {
		if s.Err != nil {
			return s.Err
		}
		evaluated, transitions = evaluated+s.Evaluated, transitions+s.Count.Transitions
	}
	b.r.AtMost(1.5, "tick/postgres/replicas", float64(took)/float64(alone), "x", fmt.Sprintf(
		"%d due: four replicas %v, one alone %v", b.due(), ms(took), ms(alone)))
	b.r.AtMost(0, "tick/postgres/replicas/duplicates", float64(transitions-b.due()), "", "transitions made beyond those due")
	b.r.AtMost(5, "tick/postgres/replicas/wasted", 100*float64(evaluated-b.due())/float64(b.due()), "%", fmt.Sprintf(
		"%d evaluated for %d due", evaluated, b.due()))
	return rest(ctx, b.pool)
}
