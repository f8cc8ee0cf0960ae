package tick

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// pgSizes are how much is measured.
type pgSizes struct {
	fleet, builds int // workspaces, and builds of each
	flat          [2]int
	rounds        int // of the pairs of tick and limit
	writes        int // rounds of a tick with activity beside it
}

func sizesOf(r *figure.Recorder) pgSizes {
	if r.Full {
		return pgSizes{fleet: 100_000, builds: 20, flat: [2]int{10_000, 1_000_000}, rounds: 7, writes: 5}
	}
	return pgSizes{fleet: 50_000, builds: 10, flat: [2]int{5_000, 50_000}, rounds: 4, writes: 2}
}

// pgBench is a server with one fleet. The fleet has nine groups that are due one after the other, an hour apart, so that
// each measurement finds a tenth of it due that nothing has touched before.
type pgBench struct {
	r      *figure.Recorder
	sizes  pgSizes
	server *pgtest.Server
	pool   *pgxpool.Pool
	one    *executor.Executor // a replica
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
		{[]string{"process", "server", "growth"}, b.costs},
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
	if err := makeReference(ctx, pool); err != nil {
		return fmt.Errorf("fill the reference: %w", err)
	}
	return errors.Join(b.idle(ctx), b.warm(ctx), b.against(ctx), b.replicas(ctx), b.writes(ctx))
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

// groups are those of a fleet that become due; the rest of it does not.
const groups = 9

// ready makes sure that the next n groups are still to come.
func (b *pgBench) ready(ctx context.Context, n int) error {
	if b.group+n <= groups {
		return nil
	}
	b.group = 0
	if err := renewFleet(ctx, b.pool); err != nil {
		return err
	}
	return b.warm(ctx)
}

// next returns the instant at which the next n groups are due.
func (b *pgBench) next(n int) time.Time {
	b.group += n
	return pgBegin.Add(time.Duration(b.group) * time.Hour)
}

// due is how many of a group are.
func (b *pgBench) due() int { return b.sizes.fleet / 10 }

func newReplica(pool *pgxpool.Pool, cfg executor.Config) (*executor.Executor, error) {
	s, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		return nil, err
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	return executor.New(s, cfg)
}

// warm starts a replica and has it make a small tick: one that has run for a while has its connections and its plans.
func (b *pgBench) warm(ctx context.Context) (err error) {
	// It looks at everything, whoever attended before it.
	if b.one, err = newReplica(b.pool, executor.Config{Shard: func() lifecycle.Shard { return lifecycle.Shard{} }}); err != nil {
		return err
	}
	return b.one.Tick(ctx, pgBegin.Add(30*time.Minute)).Err
}

// ticked runs a tick that has to do the next n groups.
func (b *pgBench) ticked(ctx context.Context, n int) (time.Duration, error) {
	now := b.next(n)
	begun := time.Now()
	s := b.one.Tick(ctx, now)
	took := time.Since(begun)
	if s.Err == nil && (s.Count.Transitions != n*b.due() || s.Count.Errors > 0) {
		return 0, fmt.Errorf("tick: %d transitions, %d errors: want %d and 0", s.Count.Transitions, s.Count.Errors, n*b.due())
	}
	return took, s.Err
}

// rest lets the server write out what it has to, so that it does not fall into the next measurement.
func rest(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, `CHECKPOINT`)
	return err
}
