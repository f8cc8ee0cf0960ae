package tick

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// sqlitePoster posts a job every now and then, as whoever writes beside a tick, and measures how long each takes.
type sqlitePoster struct {
	store  *sqlite.Store
	owners []uuid.UUID

	mu   sync.Mutex
	took []time.Duration
	errs []error
}

// during posts while a function runs. A job is posted when its time has come, whether or not those before it are stored:
// who waits long must not keep others from waiting too.
func (p *sqlitePoster) during(ctx context.Context, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	var g sync.WaitGroup
	defer g.Wait()
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for {
		select {
		case <-done:
			return
		case <-pause.C:
			g.Go(func() { p.post(ctx) })
		}
	}
}

func (p *sqlitePoster) post(ctx context.Context) {
	begun := time.Now()
	_, err := p.store.Enqueue(ctx, sqliteNow, []queue.Posting{
		{ID: uuid.New(), Organization: p.owners[0], Tenant: p.owners[begun.Nanosecond()%len(p.owners)], Type: "other"},
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took, p.errs = append(p.took, time.Since(begun)), append(p.errs, err)
}

// wait measures how long others wait to write while a tick runs: through the same store, and through another one that
// shares nothing with it but the file, as another process would.
func (b *sqliteBench) wait(ctx context.Context, rounds int) (text string, p99 time.Duration, err error) {
	same, other := &sqlitePoster{owners: b.owners}, &sqlitePoster{owners: b.owners}
	for range rounds {
		for _, p := range []*sqlitePoster{same, other} {
			if err := b.waitOnce(ctx, p, p == other); err != nil {
				return "", 0, err
			}
		}
	}
	p99 = meter.Quantile(same.took, 0.99)
	return fmt.Sprintf("99th percentile of %d jobs posted while %d are due, the median %v; by another process %v, the median %v",
		len(same.took), b.due, meter.Median(same.took).Round(100*time.Microsecond),
		meter.Quantile(other.took, 0.99).Round(100*time.Microsecond), meter.Median(other.took).Round(100*time.Microsecond)), p99, nil
}

func (b *sqliteBench) waitOnce(ctx context.Context, p *sqlitePoster, apart bool) (err error) {
	path := filepath.Join(b.dir, "waited.db")
	w, err := b.warm(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.db.Close()) }()
	p.store = w.store
	if apart {
		db, err := opened(ctx, path)
		if err != nil {
			return err
		}
		defer db.Close()
		if p.store, err = sqlite.New(db, sqlite.Config{}); err != nil {
			return err
		}
	}
	var ticked error
	p.during(ctx, func() { ticked = all(w.executor.Tick(ctx, sqliteNow), b.due) })
	return errors.Join(append(p.errs, ticked)...)
}
