package jobs

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/postgres"
)

const kind = "noop"

// dormouse is this library.
type dormouse struct {
	pool  *pgxpool.Pool
	store *postgres.Store
	org   uuid.UUID
	// ending is worker.Config.Ending.
	ending int
}

func newDormouse(ctx context.Context, pool *pgxpool.Pool, ending int) (*dormouse, error) {
	s, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		return nil, err
	}
	return &dormouse{pool, s, uuid.New(), ending}, s.Migrate(ctx)
}

func (d *dormouse) posting() queue.Posting {
	return queue.Posting{Organization: d.org, Tenant: d.org, Type: kind}
}

func (d *dormouse) fill(ctx context.Context, n int) error {
	for n > 0 {
		batch := make([]queue.Posting, min(n, 1000))
		for i := range batch {
			batch[i] = d.posting()
		}
		if _, err := d.store.Enqueue(ctx, store.Instant(time.Now()), batch); err != nil {
			return err
		}
		n -= len(batch)
	}
	return nil
}

// process is one of ours: an acquirer, and workers if there are slots.
type process struct {
	*acquirer.Acquirer
	end func()
}

func (d *dormouse) begin(ctx context.Context, slots int, handler worker.Handler) (*process, error) {
	quiet := slog.New(slog.DiscardHandler)
	bus, err := postgres.NewPubsub(d.pool, postgres.Config{})
	if err != nil {
		return nil, err
	}
	a, err := acquirer.New(d.store, bus, acquirer.Config{Logger: quiet})
	if err != nil {
		return nil, err
	}
	w, err := worker.New(a, handler, worker.Config{
		Organization: d.org, Types: []string{kind}, Slots: max(slots, 1), Ending: d.ending, Logger: quiet,
	})
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(ctx)
	work, drain := context.WithCancel(ctx)
	var running, working sync.WaitGroup
	running.Go(func() { _ = a.Run(life) })
	if slots > 0 {
		working.Go(func() { _ = w.Run(work) })
	}
	return &process{a, func() {
		drain()
		working.Wait()
		stop()
		running.Wait()
		_ = bus.Close(context.WithoutCancel(ctx))
	}}, nil
}

func (d *dormouse) work(ctx context.Context, n int, ran func()) error {
	var left atomic.Int64
	left.Store(int64(n))
	done := make(chan struct{})
	p, err := d.begin(ctx, workers, func(context.Context, *worker.Task) ([]byte, error) {
		if left.Add(-1) == 0 {
			ran()
			close(done)
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	<-done
	p.end()
	return nil
}

func (d *dormouse) starts(ctx context.Context, n int, pause time.Duration) ([]time.Duration, error) {
	started := make(chan time.Time, 1)
	handler := func(context.Context, *worker.Task) ([]byte, error) {
		started <- time.Now()
		return nil, nil
	}
	there, err := d.begin(ctx, workers, handler)
	if err != nil {
		return nil, err
	}
	defer there.end()
	here, err := d.begin(ctx, 0, handler)
	if err != nil {
		return nil, err
	}
	defer here.end()
	return singles(n, pause, started, func() error {
		_, err := here.Enqueue(ctx, d.posting())
		return err
	})
}

// singles inserts jobs a pause apart and returns how long each took to start.
func singles(n int, pause time.Duration, started <-chan time.Time, insert func() error) ([]time.Duration, error) {
	const warm = 20
	var took []time.Duration
	for i := range n + warm {
		begun := time.Now()
		if err := insert(); err != nil {
			return nil, err
		}
		at := <-started
		if i >= warm {
			took = append(took, at.Sub(begun))
		}
		time.Sleep(pause)
	}
	return took, nil
}
