package chaos_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// order is what a replica is told.
type order struct {
	DSN string
	// Real is when the run began, Speed how many seconds the replicas' world passes in one.
	Real  time.Time
	Speed int
}

// world is the time of the replicas: everything that rules look at happens there, much faster, until it is stopped.
type world struct {
	order
	end atomic.Int64 // in microseconds, 0 while nobody has stopped it
}

// stop makes the time stand still once it is there.
func (w *world) stop(at time.Time) { w.end.Store(at.UnixMicro()) }

func (w *world) now() time.Time {
	now := w.order.now()
	if end := w.end.Load(); end != 0 && now.UnixMicro() > end {
		return time.UnixMicro(end).UTC()
	}
	return now
}

// listen stops the time when told to, and returns when the input ends.
func (w *world) listen(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if at, err := time.Parse(time.RFC3339, lines.Text()); err == nil {
			w.stop(at)
		}
	}
}

// worldBegin is a Monday.
var worldBegin = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// now is the instant in the world of the replicas if nobody has stopped it.
func (o order) now() time.Time {
	return worldBegin.Add(time.Since(o.Real) * time.Duration(o.Speed)).Truncate(time.Microsecond)
}

const tickEvery = 100 * time.Millisecond

// runReplica ticks, relays and works until its standard input ends, which it does when the parent is gone.
func runReplica(told order) error {
	o := world{order: told}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	pool, err := pgxpool.New(ctx, o.DSN)
	if err != nil {
		return err
	}
	defer pool.Close()
	s, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		return err
	}
	var g sync.WaitGroup
	g.Go(func() { tick(ctx, &o, s, pool) })
	g.Go(func() { newWorker(&o, s, pool).run(ctx) })
	o.listen(os.Stdin)
	cancel()
	g.Wait()
	return nil
}

func newExecutor(s *postgres.Store, pool *pgxpool.Pool, ticks <-chan time.Time) (*executor.Executor, error) {
	return executor.New(s, executor.Config{
		Tick: ticks, Logger: slog.New(slog.DiscardHandler), BatchSize: 8, PageSize: 40, CommitsInFlight: 3, RelayInterval: tickEvery, DeliveryTimeout: time.Second,
		Auditor: func(ctx context.Context, e lifecycle.Event) error { return deliver(ctx, pool, e) },
	})
}

// deliver is a receiver: it writes down what it got, each time.
func deliver(ctx context.Context, pool *pgxpool.Pool, e lifecycle.Event) error {
	if e.Attempt == 1 && e.Revision%29 == 0 { // it hangs now and then
		<-ctx.Done()
		return ctx.Err()
	}
	_, err := pool.Exec(ctx, `INSERT INTO chaos.delivered (workspace_id, revision, kind, build, due_at) VALUES ($1, $2, $3, $4, $5)`,
		e.WorkspaceID.String(), e.Revision, string(e.Kind), e.BuildNumber, pgtype.Timestamptz{Time: e.DueAt, Valid: !e.DueAt.IsZero()})
	return err
}

func tick(ctx context.Context, o *world, s *postgres.Store, pool *pgxpool.Pool) {
	ticks := make(chan time.Time)
	e, err := newExecutor(s, pool, ticks)
	if err != nil {
		panic(err)
	}
	var g sync.WaitGroup
	g.Go(func() { _ = e.Run(ctx) })
	defer g.Wait()
	every(ctx, tickEvery, func() {
		select {
		case ticks <- o.now():
		case <-ctx.Done():
		}
	})
}

// every calls f until ctx ends.
func every(ctx context.Context, d time.Duration, f func()) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			f()
		}
	}
}
