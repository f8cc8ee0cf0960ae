// Package jobs measures the whole way of a job, from its posting to its stored end, beside River, the job queue for PostgreSQL
// that most Go programs choose, in the same run and on the same server.
//
// The two do not promise the same. River hands a job to whichever process fetches first, and frees the worker when its
// function has returned; it has no tags, no leases, no fair turns of tenants and no fencing. What is compared is what both
// do: jobs stored before, a hundred workers, functions that do nothing; and single jobs, from their insertion in one process
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
	server int // the server's process
	pool   *pgxpool.Pool
}

func run(ctx context.Context, r *figure.Recorder) error {
	if !r.Wants("jobs/river/") {
		return nil
	}
	b := &bench{r: r}
	stop, err := b.open(ctx)
	if errors.Is(err, pgtest.ErrNotFound) {
		r.Step("the figures of jobs/ are left out: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer stop()
	ours, tuned, plain, err := b.sides(ctx)
	if err != nil {
		return err
	}
	if r.Wants("jobs/river/rate") || r.Wants("jobs/river/server") || r.Wants("jobs/river/process") {
		if err := b.throughput(ctx, ours, tuned, plain); err != nil {
			return err
		}
	}
	if r.Wants("jobs/river/start") {
		return b.latency(ctx, ours, tuned, plain)
	}
	return nil
}

func (b *bench) open(ctx context.Context) (stop func(), err error) {
	server, err := pgtest.StartOwn(ctx, pgtest.Options{Durable: true, Settings: map[string]string{
		"shared_buffers": "512MB", "max_wal_size": "4GB", "jit": "off",
	}})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, server.Close())
		}
	}()
	if err = server.CreateDatabase(ctx, "jobs", "template1"); err != nil {
		return nil, err
	}
	if b.pool, err = pool(ctx, server.DSN("jobs")); err != nil {
		return nil, err
	}
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	if b.server, err = meter.Parent(int(conn.Conn().PgConn().PID())); err != nil {
		return nil, err
	}
	return func() {
		b.pool.Close()
		_ = server.Close()
	}, nil
}

func pool(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = connections
	return pgxpool.NewWithConfig(ctx, cfg)
}

func (b *bench) sides(ctx context.Context) (ours, tuned, plain side, err error) {
	if ours, err = newDormouse(ctx, b.pool, 0); err != nil {
		return nil, nil, nil, err
	}
	if tuned, err = newRiver(ctx, b.pool, time.Millisecond, 20*time.Millisecond); err != nil {
		return nil, nil, nil, err
	}
	plain, err = newRiver(ctx, b.pool, 0, 0)
	return ours, tuned, plain, err
}

// cost of a job.
type cost struct{ rate, server, process float64 }

// throughput stores jobs and lets workers run them, side after side, round after round.
func (b *bench) throughput(ctx context.Context, ours, tuned, plain side) error {
	n, rounds := 5_000, 3
	if b.r.Full {
		n, rounds = 20_000, 5
	}
	var rates, servers, processes []float64
	var us, them []cost
	for range rounds {
		u, err := b.work(ctx, ours, n)
		if err != nil {
			return fmt.Errorf("dormouse: %w", err)
		}
		r, err := b.work(ctx, tuned, n)
		if err != nil {
			return fmt.Errorf("river: %w", err)
		}
		us, them = append(us, u), append(them, r)
		rates = append(rates, u.rate/r.rate)
		servers = append(servers, u.server/r.server)
		processes = append(processes, u.process/r.process)
	}
	d, err := b.work(ctx, plain, n/10)
	if err != nil {
		return fmt.Errorf("river as it comes: %w", err)
	}
	u, r := middle(us), middle(them)
	b.r.AtLeast(1, "jobs/river/rate", median(rates), "x",
		fmt.Sprintf("%.0f jobs/s, tuned River %.0f, as it comes %.0f; %d no-op jobs, %d workers", u.rate, r.rate, d.rate, n, workers))
	b.r.AtMost(1, "jobs/river/server", median(servers), "x",
		fmt.Sprintf("server CPU a job: %.0f us, tuned River %.0f us", 1e6*u.server, 1e6*r.server))
	b.r.AtMost(1.2, "jobs/river/process", median(processes), "x",
		fmt.Sprintf("process CPU a job: %.0f us, tuned River %.0f us", 1e6*u.process, 1e6*r.process))
	return nil
}

// work measures the run of n jobs. The rate ends with the last function's return, as River counts; the costs with the last
// stored end.
func (b *bench) work(ctx context.Context, s side, n int) (cost, error) {
	b.r.Step("jobs %T, %d", s, n)
	if err := s.fill(ctx, n); err != nil {
		return cost{}, err
	}
	if _, err := b.pool.Exec(ctx, `CHECKPOINT`); err != nil {
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

// latency compares how long single jobs take from their insertion to their start.
func (b *bench) latency(ctx context.Context, ours, tuned, plain side) error {
	n := 200
	if b.r.Full {
		n = 1000
	}
	var middles, tails []float64
	var u, r delay
	for range 3 {
		var err error
		if u, err = b.delays(ctx, ours, n); err != nil {
			return err
		}
		if r, err = b.delays(ctx, tuned, n); err != nil {
			return err
		}
		middles, tails = append(middles, u.p50/r.p50), append(tails, u.p99/r.p99)
	}
	d, err := b.delays(ctx, plain, n/5) // some hundred milliseconds each
	if err != nil {
		return err
	}
	b.r.AtMost(1.1, "jobs/river/start/p50", median(middles), "x",
		fmt.Sprintf("insertion to start elsewhere, %v apart: %.1f ms, tuned River %.1f ms, as it comes %.0f ms", pause, u.p50, r.p50, d.p50))
	b.r.AtMost(0.2, "jobs/river/start/p99", median(tails), "x", fmt.Sprintf("%.1f ms, tuned River %.1f ms, as it comes %.0f ms", u.p99, r.p99, d.p99))
	return nil
}

// pause between two single jobs.
const pause = 20 * time.Millisecond

// delay from insertion to start, in milliseconds.
type delay struct{ p50, p99 float64 }

func (b *bench) delays(ctx context.Context, s side, n int) (delay, error) {
	b.r.Step("jobs %T, %d single jobs", s, n)
	took, err := s.starts(ctx, n, pause)
	if err != nil {
		return delay{}, fmt.Errorf("%T: %w", s, err)
	}
	slices.Sort(took)
	return delay{1e3 * took[len(took)/2].Seconds(), 1e3 * took[len(took)*99/100].Seconds()}, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
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
