package jobs

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// riverQueue is River with a pause between two fetches and between two polls; 0 is its default.
type riverQueue struct {
	pool           *pgxpool.Pool
	cooldown, poll time.Duration
}

func newRiver(ctx context.Context, pool *pgxpool.Pool, cooldown, poll time.Duration) (*riverQueue, error) {
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return &riverQueue{pool, cooldown, poll}, err
}

type noop struct{}

func (noop) Kind() string { return kind }

type noopWorker struct {
	river.WorkerDefaults[noop]
	run func()
}

func (w *noopWorker) Work(context.Context, *river.Job[noop]) error {
	w.run()
	return nil
}

// client returns a client that works, or one that only inserts.
func (q *riverQueue) client(run func()) (*river.Client[pgx.Tx], error) {
	cfg := &river.Config{Logger: slog.New(slog.DiscardHandler), FetchCooldown: q.cooldown, FetchPollInterval: q.poll}
	if run != nil {
		cfg.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}}
		cfg.Workers = river.NewWorkers()
		river.AddWorker(cfg.Workers, &noopWorker{run: run})
	}
	return river.NewClient(riverpgxv5.New(q.pool), cfg)
}

func (q *riverQueue) fill(ctx context.Context, n int) error {
	c, err := q.client(nil)
	if err != nil {
		return err
	}
	for n > 0 {
		batch := make([]river.InsertManyParams, min(n, 1000))
		for i := range batch {
			batch[i].Args = noop{}
		}
		if _, err := c.InsertManyFast(ctx, batch); err != nil {
			return err
		}
		n -= len(batch)
	}
	return nil
}

// work waits for the stored ends by stopping the client, which does.
func (q *riverQueue) work(ctx context.Context, n int, ran func()) error {
	var left atomic.Int64
	left.Store(int64(n))
	done := make(chan struct{})
	c, err := q.client(func() {
		if left.Add(-1) == 0 {
			ran()
			close(done)
		}
	})
	if err != nil {
		return err
	}
	if err := c.Start(ctx); err != nil {
		return err
	}
	<-done
	return c.Stop(ctx)
}

func (q *riverQueue) starts(ctx context.Context, n int, pause time.Duration) ([]time.Duration, error) {
	started := make(chan time.Time, 1)
	there, err := q.client(func() { started <- time.Now() })
	if err != nil {
		return nil, err
	}
	if err := there.Start(ctx); err != nil {
		return nil, err
	}
	defer func() { _ = there.Stop(ctx) }()
	here, err := q.client(nil)
	if err != nil {
		return nil, err
	}
	return singles(n, pause, started, func() error {
		_, err := here.Insert(ctx, noop{}, nil)
		return err
	})
}
