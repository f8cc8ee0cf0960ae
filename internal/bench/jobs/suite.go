// Package jobs measures the whole way of a job, from its posting to its stored end, beside River, the job queue for PostgreSQL
// that most Go programs choose, in the same run and on the same server.
//
// The two do not promise the same. River hands a job to whichever process fetches first, and frees the worker when its
// function has returned; it has no tags, no leases, no fair turns of tenants and no fencing. So ours is measured twice: with
// [worker.Config.Ending], which frees slots as River does, within a bound, and as it comes, with slots that wait for the stored
// end. What is compared is what both do: jobs stored before, a hundred workers, functions that do nothing; and single jobs, from their insertion in one process
// to their start in another. River runs tuned (fetches a millisecond apart, a poll each 20 ms, a pool of 10
// connections) and as it comes.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// Suite measures jobs beside River.
var Suite = figure.Suite{Name: "jobs", Run: run}

// ending is how many ends of ours may be on their way where the promise is River's: a few claims' worth. River has no bound.
const ending = 500

// connections of each side's pool.
const connections = 10

const workers = 100

// side is one of the queues.
type side interface {
	// fill stores n jobs.
	fill(ctx context.Context, n int) error
	// work runs workers until n jobs have run, calls ran, and returns when their ends are stored.
	work(ctx context.Context, n int, ran func()) error
	// starts posts single jobs in one process, a pause apart, and returns how long each took to start in another.
	starts(ctx context.Context, n int, pause time.Duration) ([]time.Duration, error)
}

type bench struct {
	r      *figure.Recorder
	own    *pgtest.Server
	server int // the server's process
	pools  []*pgxpool.Pool
}

func run(ctx context.Context, r *figure.Recorder) error {
	if !r.Wants("jobs/river/") {
		return nil
	}
	b := &bench{r: r}
	err := b.open(ctx)
	if errors.Is(err, pgtest.ErrNotFound) {
		r.Step("the figures of jobs/ are left out: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer b.close()
	s, err := b.sides(ctx)
	if err != nil {
		return err
	}
	if r.Wants("jobs/river/rate") || r.Wants("jobs/river/server") || r.Wants("jobs/river/process") {
		if err := b.throughput(ctx, s); err != nil {
			return err
		}
	}
	if r.Wants("jobs/river/start") {
		return b.latency(ctx, s.safe, s.tuned, s.plain)
	}
	return nil
}

func (b *bench) open(ctx context.Context) (err error) {
	b.own, err = pgtest.StartOwn(ctx, pgtest.Options{Durable: true, Settings: map[string]string{
		"shared_buffers": "512MB", "max_wal_size": "4GB", "jit": "off",
	}})
	return err
}

func (b *bench) close() {
	for _, p := range b.pools {
		p.Close()
	}
	_ = b.own.Close()
}

// database makes an empty database. Each side has one of its own, so that the tables of all have as many rows behind them.
func (b *bench) database(ctx context.Context, name string) (*pgxpool.Pool, error) {
	if err := b.own.CreateDatabase(ctx, name, "template1"); err != nil {
		return nil, err
	}
	p, err := pool(ctx, b.own.DSN(name))
	if err != nil {
		return nil, err
	}
	b.pools = append(b.pools, p)
	conn, err := p.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	b.server, err = meter.Parent(int(conn.Conn().PgConn().PID()))
	return p, err
}

func pool(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = connections
	return pgxpool.NewWithConfig(ctx, cfg)
}

// sides are what is compared: ours as it comes and with ends on their way, River tuned and as it comes.
type sides struct{ safe, ahead, tuned, plain side }

func (b *bench) sides(ctx context.Context) (s sides, err error) {
	for _, ours := range []struct {
		name   string
		ending int
		side   *side
	}{{"safe", 0, &s.safe}, {"ahead", ending, &s.ahead}} {
		p, err := b.database(ctx, ours.name)
		if err != nil {
			return s, err
		}
		if *ours.side, err = newDormouse(ctx, p, ours.ending); err != nil {
			return s, err
		}
	}
	river, err := b.database(ctx, "river")
	if err != nil {
		return s, err
	}
	if s.tuned, err = newRiver(ctx, river, time.Millisecond, 20*time.Millisecond); err != nil {
		return s, err
	}
	s.plain, err = newRiver(ctx, river, 0, 0)
	return s, err
}

// cost of a job.
type cost struct{ rate, server, process float64 }

// over is the cost in units of another.
func (c cost) over(other cost) cost {
	return cost{c.rate / other.rate, c.server / other.server, c.process / other.process}
}

// throughput stores jobs and lets workers run them, side after side, round after round.
func (b *bench) throughput(ctx context.Context, s sides) error {
	n, rounds := 5_000, 3
	if b.r.Full {
		n, rounds = 20_000, 5
	}
	var safe, ahead, tuned, safeOver, aheadOver []cost
	for range rounds {
		x, err := b.work(ctx, s.safe, n)
		if err != nil {
			return fmt.Errorf("dormouse: %w", err)
		}
		y, err := b.work(ctx, s.ahead, n)
		if err != nil {
			return fmt.Errorf("dormouse, ends on their way: %w", err)
		}
		r, err := b.work(ctx, s.tuned, n)
		if err != nil {
			return fmt.Errorf("river: %w", err)
		}
		safe, ahead, tuned = append(safe, x), append(ahead, y), append(tuned, r)
		safeOver, aheadOver = append(safeOver, x.over(r)), append(aheadOver, y.over(r))
	}
	d, err := b.work(ctx, s.plain, n/10)
	if err != nil {
		return fmt.Errorf("river as it comes: %w", err)
	}
	x, y, r := middle(safe), middle(ahead), middle(tuned)
	over := middle(aheadOver)
	b.r.AtLeast(1, "jobs/river/rate", over.rate, "x",
		fmt.Sprintf("%.0f jobs/s, tuned River %.0f, as it comes %.0f; %d no-op jobs, %d workers", y.rate, r.rate, d.rate, n, workers))
	b.r.AtMost(1, "jobs/river/server", meter.Median(each(aheadOver, func(c cost) float64 { return c.server })), "x",
		fmt.Sprintf("server CPU a job: %.0f us, tuned River %.0f us", 1e6*y.server, 1e6*r.server))
	b.r.AtMost(1.2, "jobs/river/process", meter.Median(each(aheadOver, func(c cost) float64 { return c.process })), "x",
		fmt.Sprintf("process CPU a job: %.0f us, tuned River %.0f us", 1e6*y.process, 1e6*r.process))
	b.r.AtLeast(0.8, "jobs/river/rate/safe", middle(safeOver).rate, "x",
		fmt.Sprintf("a slot waits for its stored end: %.0f jobs/s, %.0f us of the server and %.0f of the process a job", x.rate, 1e6*x.server, 1e6*x.process))
	return nil
}

func each(costs []cost, of func(cost) float64) []float64 {
	values := make([]float64, len(costs))
	for i, c := range costs {
		values[i] = of(c)
	}
	return values
}

// work measures the run of n jobs. The rate ends with the last function's return, as River counts; the costs with the last
// stored end.
func (b *bench) work(ctx context.Context, s side, n int) (cost, error) {
	b.r.Step("jobs %T, %d", s, n)
	if err := s.fill(ctx, n); err != nil {
		return cost{}, err
	}
	if _, err := b.pools[0].Exec(ctx, `CHECKPOINT`); err != nil {
		return cost{}, err
	}
	server, err := meter.Server(b.server)
	if err != nil {
		return cost{}, err
	}
	process, begun := meter.Process(), time.Now()
	var took time.Duration
	if err := s.work(ctx, n, func() { took = time.Since(begun) }); err != nil {
		return cost{}, err
	}
	after, err := meter.Server(b.server)
	if err != nil {
		return cost{}, err
	}
	jobs := float64(n)
	return cost{
		rate: jobs / took.Seconds(), server: (after - server).Seconds() / jobs, process: (meter.Process() - process).Seconds() / jobs,
	}, nil
}

// latency compares how long single jobs take from their insertion to their start, in many rounds: what disturbs a shared machine lasts for
// seconds, and in a long round one side would have all of it.
func (b *bench) latency(ctx context.Context, ours, tuned, plain side) error {
	rounds, n := 7, 80
	if b.r.Full {
		rounds, n = 21, 150
	}
	var u, r []time.Duration
	var middles []float64
	for range rounds {
		x, err := b.starts(ctx, ours, n)
		if err != nil {
			return err
		}
		y, err := b.starts(ctx, tuned, n)
		if err != nil {
			return err
		}
		u, r, middles = append(u, x...), append(r, y...), append(middles, meter.Median(x).Seconds()/meter.Median(y).Seconds())
	}
	d, err := b.starts(ctx, plain, rounds*n/15) // some hundred milliseconds each
	if err != nil {
		return err
	}
	ms := func(took []time.Duration, q float64) float64 { return 1e3 * meter.Quantile(took, q).Seconds() }
	b.r.AtMost(1.1, "jobs/river/start/p50", meter.Median(middles), "x", fmt.Sprintf(
		"insertion to start elsewhere, %v apart: %.1f ms, tuned River %.1f ms, as it comes %.0f ms; the median of %d rounds of %d",
		pause, ms(u, 0.5), ms(r, 0.5), ms(d, 0.5), rounds, n))
	b.r.AtMost(0.2, "jobs/river/start/p99", ms(u, 0.99)/ms(d, 0.99), "x",
		fmt.Sprintf("%.1f ms, River as it comes %.0f ms, whose p99 is a poll", ms(u, 0.99), ms(d, 0.99)))
	b.r.Plain("jobs/river/start/p99/tuned", ms(u, 0.99)/ms(r, 0.99), "x",
		fmt.Sprintf("%.1f ms, tuned River %.1f ms; no target: each stores two commits", ms(u, 0.99), ms(r, 0.99)))
	return nil
}

// pause between two single jobs.
const pause = 20 * time.Millisecond

// starts are the delays from insertion to start.
func (b *bench) starts(ctx context.Context, s side, n int) ([]time.Duration, error) {
	b.r.Step("jobs %T, %d single jobs", s, n)
	took, err := s.starts(ctx, n, pause)
	if err != nil {
		return nil, fmt.Errorf("%T: %w", s, err)
	}
	return took, nil
}

// middle is the cost of the round with the median rate.
func middle(costs []cost) cost {
	sorted := slices.SortedFunc(slices.Values(costs), func(a, b cost) int {
		if a.rate < b.rate {
			return -1
		}
		return 1
	})
	return sorted[len(sorted)/2]
}
