package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/localprocess"
	"github.com/dormouse-go/dormouse/store/memory"
)

// sample is the pool at one moment.
type sample struct {
	at                   time.Duration
	idle, used, starting int
	hits, misses         uint64
}

// live is what was seen of the pool of processes.
type live struct {
	mu      sync.Mutex
	begun   time.Time
	used    int
	samples []sample
	// Times from request to a process that can be used.
	warm, cold []time.Duration
}

func (l *live) hitRate() float64 {
	n := len(l.warm) + len(l.cold)
	if n == 0 {
		return 0
	}
	return float64(len(l.warm)) / float64(n)
}

func median(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(times))[len(times)/2].Round(10 * time.Microsecond)
}

// watch runs a pool of processes under load, and looks at it ten times a second.
func watch(ctx context.Context, o options) (*live, error) {
	dir, err := os.MkdirTemp("", "prewarmed")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	backend, err := localprocess.New(localprocess.Config{Dir: dir, Poll: 10 * time.Millisecond, Command: func(prewarm.Member) []string {
		// Stands for an interpreter that loads what it needs.
		return []string{"/bin/sh", "-c", fmt.Sprintf("sleep %.3f; touch ready; exec sleep 3600", o.build.Seconds())}
	}})
	if err != nil {
		return nil, err
	}
	store := memory.NewMembers()
	pool, err := prewarm.New(store, backend, prewarm.Config{
		Spec:   prewarm.Spec{Name: "interpreters", Version: "1", Floor: o.size, Ceiling: 4 * o.size},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(life) }()
	l := &live{begun: time.Now()}
	err = l.load(ctx, pool, o)
	stop()
	return l, errors.Join(err, <-ended, destroyAll(store, backend))
}

// load lets people claim, at random times, until the time is over and the last one has returned what he had.
func (l *live) load(ctx context.Context, pool *prewarm.Pool, o options) error {
	working, done := context.WithTimeout(ctx, o.length)
	defer done()
	var people sync.WaitGroup
	defer people.Wait()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	failed := make(chan error, 1)
	for {
		select {
		case <-working.Done():
			return context.Cause(ctx)
		case err := <-failed:
			return err
		case <-look.C:
			l.look(pool)
		case <-next.C:
			next.Reset(time.Duration(rand.ExpFloat64() * float64(o.every)))
			people.Go(func() {
				if err := l.use(ctx, pool, o.hold); err != nil && ctx.Err() == nil {
					select {
					case failed <- err:
					default:
					}
				}
			})
		}
	}
}

// use claims a process, works with it for a while, and returns it.
func (l *live) use(ctx context.Context, pool *prewarm.Pool, mean time.Duration) error {
	h, err := pool.Claim(ctx, prewarm.Request{Owner: "somebody", IfEmpty: prewarm.Cold, IdleTimeout: time.Minute})
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.used++
	if h.Source == prewarm.Warm {
		l.warm = append(l.warm, h.Waited)
	} else {
		l.cold = append(l.cold, h.Waited)
	}
	l.mu.Unlock()
	select {
	case <-time.After(time.Duration(rand.ExpFloat64() * float64(mean))):
	case <-ctx.Done():
	}
	l.mu.Lock()
	l.used--
	l.mu.Unlock()
	return pool.Return(context.WithoutCancel(ctx), h.Member.ID)
}

func (l *live) look(pool *prewarm.Pool) {
	s := pool.Stats()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples = append(l.samples, sample{
		at: time.Since(l.begun), idle: s.Counts.Ready, starting: s.Counts.Starting + s.Counts.Cold, used: l.used,
		hits: uint64(len(l.warm)), misses: uint64(len(l.cold)),
	})
}

// destroyAll ends the processes that are left: a pool that ends leaves them to whoever runs it next.
func destroyAll(store prewarm.Store, backend prewarm.Backend) error {
	ctx := context.Background()
	members, err := store.Members(ctx, prewarm.Query{Pool: "interpreters"})
	errs := []error{err}
	for _, m := range members {
		errs = append(errs, backend.Destroy(ctx, m))
	}
	return errors.Join(errs...)
}
