// Package acquirer measures the job hand-off, T1 to T18: in memory what is a matter of the process alone, and on a
// PostgreSQL server of its own what is a matter of the database, against the barest statement that does the same
// and against the usual shape of such a queue (a tag function for each row, one row for each query).
package acquirer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
)

// Suite measures the hand-off.
var Suite = figure.Suite{Name: "acquirer", Run: run}

func run(ctx context.Context, r *figure.Recorder) error {
	return errors.Join(memoryFigures(ctx, r), postgresFigures(ctx, r))
}

// part is one figure, or a few that share their set-up.
type part struct {
	names []string
	run   func(context.Context) error
}

func runParts(ctx context.Context, r *figure.Recorder, parts []part) error {
	for _, p := range parts {
		if !slices.ContainsFunc(p.names, func(name string) bool { return r.Wants("acquirer/" + name) }) {
			continue
		}
		r.Step("acquirer %v", p.names)
		if err := p.run(ctx); err != nil {
			return fmt.Errorf("%v: %w", p.names, err)
		}
	}
	return ctx.Err()
}

// running starts an acquirer and returns it once it is registered.
func running(ctx context.Context, store queue.Store, bus queue.Pubsub, cfg acquirer.Config) (*acquirer.Acquirer, func(), error) {
	cfg.Logger = slog.New(slog.DiscardHandler) // a store that fails on purpose is no news
	a, err := acquirer.New(store, bus, cfg)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.Run(ctx)
	}()
	for s := a.Stats(); !s.Registered || bus != nil && !s.Hearing; s = a.Stats() {
		if err := ctx.Err(); err != nil {
			cancel()
			return nil, nil, err
		}
		time.Sleep(time.Millisecond)
	}
	return a, sync.OnceFunc(func() { cancel(); <-done }), nil
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// timed runs f n times and returns the median.
func timed(n int, f func() error) (time.Duration, error) {
	var took []time.Duration
	for range n {
		begun := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(begun))
	}
	return meter.Median(took), nil
}

func request(org uuid.UUID, tags map[string]string) queue.Request {
	return queue.Request{Organization: org, Worker: uuid.New(), Types: []string{"build"}, Tags: tags}
}

func posting(org uuid.UUID, tags map[string]string) queue.Posting {
	return queue.Posting{Organization: org, Tenant: uuid.New(), Type: "build", Tags: tags}
}

// waiting starts n waiters and returns when they are in line. Each sends when it was served.
func waiting(ctx context.Context, a *acquirer.Acquirer, n int, r queue.Request) (<-chan served, error) {
	before := a.Stats().Waiting
	out := make(chan served, n)
	for range n {
		go func() {
			job, err := a.AcquireJob(ctx, r)
			out <- served{job, err, time.Now()}
		}()
	}
	for a.Stats().Waiting < before+n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		time.Sleep(200 * time.Microsecond)
	}
	return out, nil
}

type served struct {
	job queue.Job
	err error
	at  time.Time
}
