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
	"github.com/dormouse-go/dormouse/internal/bench/meter"
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
	b, stop, err := open(ctx, "tenancy")
	if errors.Is(err, pgtest.ErrNotFound) {
		r.Step("the figures of tenancy/ are left out: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer stop()
	nextDoor, stopNextDoor, err := open(ctx, "next_door")
	if err != nil {
		return err
	}
	defer stopNextDoor()
	each := 2 * time.Second
	if r.Full {
		each = time.Minute / rounds
	}
	return b.measure(ctx, r, nextDoor, each)
}

// rounds is how often quiet and flood take turns, so that what else the machine does meets both alike.
const rounds = 5

// bench is two processes of a control plane on one database: all is posted in the first, and all workers are at the second.
type bench struct {
	pool          *pgxpool.Pool
	front, worker *acquirer.Acquirer
}

func open(ctx context.Context, database string) (_ *bench, stop func(), err error) {
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
	if err := server.CreateDatabase(ctx, database, "template1"); err != nil {
		return nil, nil, err
	}
	b := &bench{}
	for _, a := range []**acquirer.Acquirer{&b.front, &b.worker} {
		pool, err := pgxpool.New(ctx, server.DSN(database))
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
		time.Sleep(time.Millisecond) // nothing tells of it, and what is measured begins later
	}
	*to = a
	return func() {
		cancel()
		running.Wait()
		_ = bus.Close(context.WithoutCancel(ctx))
	}, nil
}

// handovers are what the hand-overs of a victim took in each round: without a flood, beside one that another control plane on the same
// cores has, with a database server of its own, and beside one on the same control plane.
type handovers struct {
	quiet, nextDoor, flooded [][]time.Duration
}

func (b *bench) measure(ctx context.Context, r *figure.Recorder, nextDoor *bench, each time.Duration) error {
	v, err := newVictim(ctx, b)
	if err != nil {
		return err
	}
	defer v.stop()
	f, err := newFlood(b)
	if err != nil {
		return err
	}
	g, err := newFlood(nextDoor)
	if err != nil {
		return err
	}
	var took handovers
	beat := 0
	for n := range rounds {
		r.Step("tenancy: round %d: %s each of quiet, of a flood next door, and of one here", n+1, each)
		for _, phase := range []struct {
			flood *flood
			to    *[][]time.Duration
		}{{nil, &took.quiet}, {g, &took.nextDoor}, {f, &took.flooded}} {
			list, err := v.beside(ctx, phase.flood, each)
			if err != nil {
				return err
			}
			*phase.to = append(*phase.to, list)
		}
		size, err := b.heartbeat(ctx)
		if err != nil {
			return err
		}
		beat = max(beat, size)
	}
	took.report(r, f)
	r.AtMost(0, "tenancy/leases", float64(v.lost.Load()), "lost",
		fmt.Sprintf("of %d jobs that were held and reported on each second, and %d that were handed over", held, took.count()))
	r.AtMost(256, "tenancy/heartbeats", float64(beat)/1024, "KiB", "the largest row of a process during the flood")
	r.AtMost(10, "tenancy/renders", float64(f.evicted()), "entries", fmt.Sprintf("of %d of others gone from the render cache after %d keys of the flooder", cached, f.renders.Load()))
	left, made, err := b.leftover(ctx, f)
	if err != nil {
		return err
	}
	r.AtMost(5, "tenancy/left", float64(left), "tag sets", fmt.Sprintf("of %d, when the flooder's jobs are gone", made))
	return nil
}

// beside is what hand-overs take beside a flood; nil: without one.
func (v *victim) beside(ctx context.Context, f *flood, d time.Duration) ([]time.Duration, error) {
	if f != nil {
		f.start(ctx)
		defer f.stop()
	}
	return v.handovers(ctx, d)
}

func (h *handovers) report(r *figure.Recorder, f *flood) {
	quiet, nextDoor, flooded := h.of(.99)
	median, medianNextDoor, medianFlooded := h.of(.5)
	r.AtMost(3, "tenancy/handover", ratio(flooded, quiet), "x",
		fmt.Sprintf("p99 from posting in one process to the worker at another, in the median of %d rounds: %s beside %s, %s quiet; medians %s and %s",
			rounds, short(meter.Median(flooded)), f.counts(), short(meter.Median(quiet)),
			short(meter.Median(medianFlooded)), short(meter.Median(median))))
	r.Plain("tenancy/next_door", ratio(nextDoor, quiet), "x",
		fmt.Sprintf("the same beside a flood of other processes on another server, which take the cores alone: %s, median %s",
			short(meter.Median(nextDoor)), short(meter.Median(medianNextDoor))))
}

func (h *handovers) count() (n int) {
	for _, list := range slices.Concat(h.quiet, h.nextDoor, h.flooded) {
		n += len(list)
	}
	return n
}

// of is a quantile of each round.
func (h *handovers) of(q float64) (quiet, nextDoor, flooded []time.Duration) {
	for n := range h.quiet {
		quiet, nextDoor, flooded = append(quiet, meter.Quantile(h.quiet[n], q)), append(nextDoor, meter.Quantile(h.nextDoor[n], q)), append(flooded, meter.Quantile(h.flooded[n], q))
	}
	return quiet, nextDoor, flooded
}

// ratio is the median of what one is of the other, round by round.
func ratio(of, by []time.Duration) float64 {
	ratios := make([]float64, len(of))
	for n := range of {
		ratios[n] = float64(of[n]) / float64(by[n])
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
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

func short(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
