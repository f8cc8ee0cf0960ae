// Package tenancy measures what one tenant's flood costs another: postings, tags, wishes of workers, reports, renders, explanations
// and waits that are hung up, all at once, by an organization that does nothing else, on the processes, the database and the
// cache that everybody shares.
//
// The flooder does each of these as fast as one caller can who waits for the answer. How many calls of one identity a host lets
// in at once is the host's to bound; here it is one of each kind.
package tenancy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// Suite measures interference between tenants.
var Suite = figure.Suite{Name: "tenancy", Run: run}

// lease is that of the processes: a flood that keeps one from its heartbeats costs it its jobs.
const lease = 30 * time.Second

func run(ctx context.Context, r *figure.Recorder) error {
	if !r.Wants("tenancy/") {
		return nil
	}
	b, stop, err := open(ctx)
	if errors.Is(err, pgtest.ErrNotFound) {
		r.Step("the figures of tenancy/ are left out: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer stop()
	quiet, flooded := 5*time.Second, 10*time.Second
	if r.Full {
		quiet, flooded = 20*time.Second, time.Minute
	}
	return b.measure(ctx, r, quiet, flooded)
}

// bench is two processes of a control plane on one database: all is posted in the first, and all workers are at the second.
type bench struct {
	pool          *pgxpool.Pool
	front, worker *acquirer.Acquirer
}

func open(ctx context.Context) (_ *bench, stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, f := range slices.Backward(stops) {
			f()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	server, err := pgtest.StartOwn(ctx, pgtest.Options{Durable: true, Settings: map[string]string{"shared_buffers": "256MB", "jit": "off"}})
	if err != nil {
		return nil, nil, err
	}
	stops = append(stops, func() { _ = server.Close() })
	if err := server.CreateDatabase(ctx, "tenancy", "template1"); err != nil {
		return nil, nil, err
	}
	b := &bench{}
	for _, a := range []**acquirer.Acquirer{&b.front, &b.worker} {
		pool, err := pgxpool.New(ctx, server.DSN("tenancy"))
		if err != nil {
			return nil, nil, err
		}
		stops = append(stops, pool.Close)
		end, err := start(ctx, pool, a)
		if err != nil {
			return nil, nil, err
		}
		stops = append(stops, end)
		b.pool = pool
	}
	return b, stop, nil
}

// start runs a process on a pool of its own.
func start(ctx context.Context, pool *pgxpool.Pool, to **acquirer.Acquirer) (stop func(), err error) {
	store, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	bus, err := postgres.NewPubsub(pool, postgres.Config{})
	if err != nil {
		return nil, err
	}
	a, err := acquirer.New(store, bus, acquirer.Config{Logger: slog.New(slog.DiscardHandler), Lease: lease})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = a.Run(ctx) })
	for s := a.Stats(); !s.Registered || !s.Hearing; s = a.Stats() {
		if ctx.Err() != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	*to = a
	return func() {
		cancel()
		running.Wait()
		_ = bus.Close(context.WithoutCancel(ctx))
	}, nil
}

func (b *bench) measure(ctx context.Context, r *figure.Recorder, quiet, flooded time.Duration) error {
	v, err := newVictim(ctx, b)
	if err != nil {
		return err
	}
	defer v.stop()
	r.Step("tenancy: %s without the flood", quiet)
	before, err := v.handovers(ctx, quiet)
	if err != nil {
		return err
	}
	f, err := newFlood(b)
	if err != nil {
		return err
	}
	r.Step("tenancy: %s of it", flooded)
	f.start(ctx)
	after, err := v.handovers(ctx, flooded)
	beat, beatErr := b.heartbeat(ctx)
	f.stop()
	if err := errors.Join(err, beatErr); err != nil {
		return err
	}
	r.AtMost(3, "tenancy/handover", float64(quantile(after, .99))/float64(quantile(before, .99)), "x",
		fmt.Sprintf("p99 from posting in one process to the worker at another: %s beside %s, %s quiet; medians %s and %s",
			short(quantile(after, .99)), f.counts(), short(quantile(before, .99)), short(quantile(after, .5)), short(quantile(before, .5))))
	r.AtMost(0, "tenancy/leases", float64(v.lost.Load()), "lost",
		fmt.Sprintf("of %d jobs that were held and reported on each second, and %d that were handed over", held, len(before)+len(after)))
	r.AtMost(256, "tenancy/heartbeats", float64(beat)/1024, "KiB", "the largest row of a process during the flood")
	r.AtMost(10, "tenancy/renders", float64(f.evicted()), "entries", fmt.Sprintf("of %d of others gone from the render cache after %d keys of the flooder", cached, f.renders.Load()))
	left, made, err := b.leftover(ctx, f)
	if err != nil {
		return err
	}
	r.AtMost(5, "tenancy/left", float64(left), "tag sets", fmt.Sprintf("of %d, when the flooder's jobs are gone", made))
	return nil
}

// heartbeat is the size of the largest row of a process.
func (b *bench) heartbeat(ctx context.Context) (n int, err error) {
	err = b.pool.QueryRow(ctx, `SELECT max(length(workers::text)) FROM dormouse.processes`).Scan(&n)
	return n, err
}

// leftover cancels the flooder's jobs, lets them and what they used be pruned as days pass, and counts the tag sets before and after.
func (b *bench) leftover(ctx context.Context, f *flood) (left, made int, err error) {
	const count = `SELECT count(*) FROM dormouse.tag_sets`
	if err = b.pool.QueryRow(ctx, count).Scan(&made); err != nil {
		return 0, 0, err
	}
	if _, err = b.pool.Exec(ctx, `UPDATE dormouse.jobs SET state = 4, ready = false, ended_at = now() WHERE organization_id = $1 AND state < 2`,
		f.organization.String()); err != nil {
		return 0, 0, err
	}
	store, err := postgres.New(b.pool, postgres.Config{})
	if err != nil {
		return 0, 0, err
	}
	for day := range 3 {
		for n := 1; n > 0; {
			if n, err = store.PruneJobs(ctx, time.Now().Add(time.Hour+time.Duration(day)*25*time.Hour), 1000); err != nil {
				return 0, 0, err
			}
		}
	}
	err = b.pool.QueryRow(ctx, count).Scan(&left)
	return left, made, err
}

// quantile sorts the values.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[int(q*float64(len(values)-1))]
}

func short(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
