package tick

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/bench/figure"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// pgSizes are how much is measured.
type pgSizes struct {
	fleet, builds int // workspaces, and builds of each
	flat          [2]int
	rounds        int
}

func sizesOf(r *figure.Recorder) pgSizes {
	if r.Full {
		return pgSizes{fleet: 100_000, builds: 20, flat: [2]int{10_000, 1_000_000}, rounds: 3}
	}
	return pgSizes{fleet: 20_000, builds: 10, flat: [2]int{5_000, 50_000}, rounds: 3}
}

// pgBench is a server with one fleet. The fleet has ten groups that are due one after the other, an hour apart, so that
// each measurement finds a tenth of it due that nothing has touched before.
type pgBench struct {
	r      *figure.Recorder
	sizes  pgSizes
	server *pgtest.Server
	pool   *pgxpool.Pool
	store  *postgres.Store
	group  int
}

// postgresFigures runs on a server of its own with fsync on. Without PostgreSQL it says so and measures nothing.
func postgresFigures(ctx context.Context, r *figure.Recorder) error {
	if !r.Wants("tick/postgres/") {
		return nil
	}
	server, err := pgtest.StartOwn(ctx, pgtest.Options{Durable: true, Settings: map[string]string{
		"shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "1h", "autovacuum": "off", "wal_buffers": "64MB",
	}})
	if errors.Is(err, pgtest.ErrNotFound) {
		r.Step("tick/postgres/ is left out: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer server.Close()
	b := &pgBench{r: r, sizes: sizesOf(r), server: server}
	return b.measure(ctx)
}

func (b *pgBench) measure(ctx context.Context) error {
	for _, part := range []struct {
		names []string
		run   func(context.Context) error
	}{
		{[]string{"reference", "limit", "replicas", "idle", "writes"}, b.fleetFigures},
		{[]string{"flat"}, b.flat},
	} {
		wanted := false
		for _, name := range part.names {
			wanted = wanted || b.r.Wants("tick/postgres/"+name)
		}
		if !wanted {
			continue
		}
		if err := part.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *pgBench) fleetFigures(ctx context.Context) error {
	b.r.Step("tick/postgres: %d workspaces with %d builds each", b.sizes.fleet, b.sizes.builds)
	pool, err := b.database(ctx, "fleet", b.sizes.fleet, b.sizes.builds)
	if err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	defer pool.Close()
	b.pool = pool
	if b.store, err = postgres.New(pool, postgres.Config{}); err != nil {
		return err
	}
	if err := makeReference(ctx, pool); err != nil {
		return fmt.Errorf("fill the reference: %w", err)
	}
	return errors.Join(b.idle(ctx), b.against(ctx), b.replicas(ctx), b.writes(ctx))
}

// database makes a database with a fleet.
func (b *pgBench) database(ctx context.Context, name string, n, builds int) (*pgxpool.Pool, error) {
	if err := b.server.CreateDatabase(ctx, name, "template0"); err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig(b.server.DSN(name))
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = 24
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s, err := postgres.New(pool, postgres.Config{})
	if err == nil {
		err = s.Migrate(ctx)
	}
	if err == nil {
		err = fillFleet(ctx, pool, n, builds)
	}
	return pool, err
}

// next returns the instant at which the next group is due.
func (b *pgBench) next() time.Time {
	b.group++
	return pgBegin.Add(time.Duration(b.group) * time.Hour)
}

// due is how many are.
func (b *pgBench) due() int { return b.sizes.fleet / 10 }

func (b *pgBench) executor(s lifecycle.Store) (*lifecycle.Executor, error) {
	return lifecycle.New(s, lifecycle.Config{})
}

// ticked runs a tick that has to do a whole group.
func (b *pgBench) ticked(ctx context.Context, e *lifecycle.Executor, now time.Time) (time.Duration, error) {
	begun := time.Now()
	s := e.Tick(ctx, now)
	took := time.Since(begun)
	if s.Err == nil && (len(s.Transitions) != b.due() || len(s.Errors) > 0) {
		return 0, fmt.Errorf("tick: %d transitions, %d errors: want %d and 0", len(s.Transitions), len(s.Errors), b.due())
	}
	return took, s.Err
}

// rest lets the server write out what it has to, so that it does not fall into the next measurement.
func rest(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, `CHECKPOINT`)
	return err
}
