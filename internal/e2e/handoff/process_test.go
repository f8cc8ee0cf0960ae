package handoff_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/internal/e2e/internal/harm"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// order is what a process has to do.
type order struct {
	DSN  string
	Name string
	Org  uuid.UUID
	Seed uint64
	// Remote: it is a worker that asks the others.
	Remote bool
}

// What a lease lasts: long enough for a loaded machine, short enough for many losses in a run.
const (
	heartbeat = 250 * time.Millisecond
	lease     = 1250 * time.Millisecond
)

// config is that of a fleet in a hurry.
func config(name string) acquirer.Config {
	return acquirer.Config{
		Instance: name, Heartbeat: heartbeat, Lease: lease, Timeout: 2 * heartbeat,
		Backup: 2 * time.Second, Poll: 200 * time.Millisecond,
		StopTimeout: time.Second, Limits: queue.Limits{Types: map[string]int{"scarce": scarce}},
	}
}

// scarce is the limit of the jobs of that type.
const scarce = 2

// plane is one process: an acquirer, its workers, and somebody who posts.
type plane struct {
	order
	pool *pgxpool.Pool
	*acquirer.Acquirer
	calm atomic.Bool

	mu  sync.Mutex
	rng *rand.Rand
}

// runProcess works until it is asked to stop, and then drains. A byte on its standard input ends its posting and its own
// faults; when that ends, its parent is gone.
func runProcess(o order) error {
	if o.Remote {
		return runRemote(o)
	}
	p := &plane{order: o, rng: rand.New(rand.NewPCG(o.Seed, 0))}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		for word := make([]byte, 1); ; p.calm.Store(true) {
			if _, err := os.Stdin.Read(word); err != nil {
				os.Exit(0)
			}
		}
	}()
	return p.run(ctx)
}

func (p *plane) run(ctx context.Context) (err error) {
	if p.pool, err = pgxpool.New(ctx, p.DSN); err != nil {
		return err
	}
	defer p.pool.Close()
	db, err := postgres.New(p.pool, postgres.Config{})
	if err != nil {
		return err
	}
	bus, err := postgres.NewPubsub(p.pool, postgres.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = bus.Close(context.WithoutCancel(ctx)) }()
	faulty := acquirertest.Wrap(db)
	faulty.Choose(p.fault)
	cfg := config(p.Name)
	cfg.Lost = map[string]acquirer.LostPolicy{"": p.verdict}
	if p.Acquirer, err = acquirer.New(faulty, bus, cfg); err != nil {
		return err
	}
	// The workers end first, then the acquirer.
	late, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var running, working sync.WaitGroup
	running.Go(func() { _ = p.Run(late) })
	if err := p.serve(late); err != nil {
		return err
	}
	for ending, types := range map[int][]string{6: {"plain"}, 0: {"plain", "scarce"}} {
		w, err := worker.New(p, p.work(slots+ending), worker.Config{
			Organization: p.Org, Types: types, Slots: slots, Ending: ending, Drain: 300 * time.Millisecond, Flush: 20 * time.Millisecond,
		})
		if err != nil {
			return err
		}
		working.Go(func() { _ = w.Run(ctx) })
	}
	working.Go(func() {
		p.post(ctx)
		p.sayCalm(ctx)
	})
	working.Wait()
	end()
	running.Wait()
	return nil
}

func (p *plane) upTo(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rng.IntN(n)
}

// fault loses one answer in twenty after its commit, and one call in forty before it.
func (p *plane) fault(acquirertest.Verb) acquirertest.Fault {
	if p.calm.Load() {
		return acquirertest.Fault{}
	}
	n := p.upTo(40)
	return acquirertest.Fault{Lost: n < 2, Down: n == 2}
}

// slots is how many jobs a worker runs at once.
const slots = 4

// work is a handler that takes up to 40 milliseconds and leaves a trace in the database that is not of the library's making. Most is
// how many jobs of its worker may be begun and not ended.
func (p *plane) work(most int) worker.Handler {
	return func(ctx context.Context, t *worker.Task) ([]byte, error) {
		job := t.Job
		defer func() {
			if errors.Is(context.Cause(ctx), queue.ErrLeaseLost) {
				gone(ctx, p.pool, job.Lease())
			}
		}()
		_, err := p.pool.Exec(ctx, `INSERT INTO handoff.work (job, fence, process, worker, most) VALUES ($1, $2, $3, $4, $5)`,
			job.ID.String(), job.Fence, job.Process.String(), job.Worker.String(), most)
		if err != nil {
			return nil, worker.Retry(0, err)
		}
		t.Logf("attempt %d under fence %d", job.Attempt, job.Fence)
		if !harm.Pause(ctx, time.Duration(p.upTo(40))*time.Millisecond) {
			return nil, context.Cause(ctx)
		}
		return fmt.Append(nil, job.Fence), nil
	}
}

// gone writes down a job whose worker has to take it for lost. Its slot takes the next one then, while the store may learn of it later:
// whoever cannot report stops its jobs before anybody else may have them.
func gone(ctx context.Context, pool *pgxpool.Pool, lease queue.Lease) {
	ctx = context.WithoutCancel(ctx)
	for {
		if _, err := pool.Exec(ctx, `INSERT INTO handoff.gone VALUES ($1, $2)`, lease.Job.String(), lease.Fence); err == nil {
			return
		}
		harm.Pause(ctx, 10*time.Millisecond)
	}
}

// End implements [worker.Source].
func (p *plane) End(ctx context.Context, e queue.End) (queue.Job, error) {
	job, err := p.Acquirer.End(ctx, e)
	if errors.Is(err, queue.ErrLeaseLost) {
		gone(ctx, p.pool, e.Lease)
	}
	return job, err
}

// sayCalm writes down that this process posts nothing any more, not even a posting that was on its way.
func (p *plane) sayCalm(ctx context.Context) {
	for ctx.Err() == nil {
		if _, err := p.pool.Exec(ctx, `INSERT INTO handoff.calm VALUES ($1) ON CONFLICT DO NOTHING`, p.Name); err == nil {
			return
		}
		harm.Pause(ctx, 50*time.Millisecond)
	}
}

// post enqueues jobs; what was acknowledged to it is written down.
func (p *plane) post(ctx context.Context) {
	for harm.Pause(ctx, time.Duration(p.upTo(50))*time.Millisecond) && !p.calm.Load() {
		var postings []queue.Posting
		for range 1 + p.upTo(4) {
			kind := "plain"
			switch p.upTo(5) {
			case 0:
				kind = "scarce"
			case 1, 2:
				kind = "far" // only workers elsewhere run it
			}
			postings = append(postings, queue.Posting{ID: uuid.New(), Organization: p.Org, Tenant: uuid.New(), Type: kind})
		}
		jobs, err := p.Enqueue(ctx, postings...)
		if err != nil {
			continue // nothing was promised
		}
		for _, job := range jobs {
			_, _ = p.pool.Exec(ctx, `INSERT INTO handoff.promised (job) VALUES ($1)`, job.ID.String())
		}
	}
}
