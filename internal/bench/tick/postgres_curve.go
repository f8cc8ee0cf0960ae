package tick

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// IdlePoint is what it costs to find nothing due in a fleet.
type IdlePoint struct {
	Fleet int
	// Tick is an idle tick, Query the query with which the reference pattern begins every tick. Both are medians.
	Tick, Query time.Duration
}

// IdleCurve measures fleets of the given sizes, with so many builds of each workspace, on a PostgreSQL of its own.
func IdleCurve(ctx context.Context, r *figure.Recorder, builds int, fleets ...int) ([]IdlePoint, error) {
	server, err := pgtest.StartOwn(ctx, pgtest.Options{Durable: true, Settings: map[string]string{
		"shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "1h", "autovacuum": "off",
	}})
	if err != nil {
		return nil, err
	}
	defer server.Close()
	b := &pgBench{r: r, server: server}
	var points []IdlePoint
	for _, n := range fleets {
		r.Step("%d workspaces with %d builds each", n, builds)
		p, err := b.idlePoint(ctx, n, builds)
		if err != nil {
			return nil, fmt.Errorf("%d workspaces: %w", n, err)
		}
		points = append(points, p)
	}
	return points, nil
}

func (b *pgBench) idlePoint(ctx context.Context, n, builds int) (IdlePoint, error) {
	pool, err := b.database(ctx, fmt.Sprintf("curve_%d", n), n, builds)
	if err != nil {
		return IdlePoint{}, err
	}
	defer pool.Close()
	if err := makeReference(ctx, pool); err != nil {
		return IdlePoint{}, err
	}
	p := IdlePoint{Fleet: n}
	if p.Tick, err = idleTick(ctx, pool, 200); err != nil {
		return p, err
	}
	p.Query, err = idleQuery(ctx, pool, 5)
	return p, err
}

// idleQuery is the median of queries that find nothing.
func idleQuery(ctx context.Context, pool *pgxpool.Pool, n int) (time.Duration, error) {
	var took []time.Duration
	for range n {
		begun := time.Now()
		ids, err := eligible(ctx, pool, pgBegin)
		if err != nil {
			return 0, fmt.Errorf("eligibility query: %w", err)
		}
		if len(ids) != 0 {
			return 0, fmt.Errorf("eligibility query: %d rows, none expected", len(ids))
		}
		took = append(took, time.Since(begun))
	}
	return meter.Median(took), nil
}
