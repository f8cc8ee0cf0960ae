package rendercache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/rendercache"
)

// runOnce counts renders where there must be one for each key.
func runOnce(ctx context.Context, r *figure.Recorder) error {
	n := 20_000
	if r.Full {
		n = 100_000
	}
	c, err := rendercache.New(rendercache.Config[int, *result]{MaxEntries: 2 * n})
	if err != nil {
		return err
	}
	defer c.Close()
	var renders atomic.Int64
	render := func(pause time.Duration) func(context.Context) (*result, error) {
		return func(context.Context) (*result, error) {
			renders.Add(1)
			if pause > 0 {
				time.Sleep(pause)
			}
			return &result{}, nil
		}
	}
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() { _, _ = c.Render(ctx, -1, render(20*time.Millisecond)) })
	}
	wg.Wait()
	r.AtMost(1, "rendercache/once/burst", float64(renders.Load()), "", "renders for 1000 requests at once, 20 ms each")

	r.Step("storm over %d keys", n)
	renders.Store(0)
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			for i := range n { // all walk the keys together, none quite in step
				_, _ = c.Render(ctx, min(n-1, max(0, i+random.IntN(5)-2)), render(0))
				_, _ = c.Render(ctx, i, render(0))
			}
		})
	}
	wg.Wait()
	r.AtMost(0, "rendercache/once/storm", float64(renders.Load())-float64(n), "", fmt.Sprintf("extra renders in %d keys, %d goroutines", n, workers))
	return nil
}

func runMisses(ctx context.Context, r *figure.Recorder) error {
	rounds, n := 11, 16_000
	if r.Full {
		rounds, n = 41, 40_000
	}
	ours, err := rendercache.New(rendercache.Config[rendercache.Key, *result]{})
	if err != nil {
		return err
	}
	defer ours.Close()
	peer, err := otter.New(&otter.Options[rendercache.Key, *result]{
		MaximumSize: 10_000, ExpiryCalculator: otter.ExpiryAccessing[rendercache.Key, *result](life),
	})
	if err != nil {
		return err
	}
	defer peer.StopAllGoroutines()
	keys := keysOf(n)
	value := &result{}
	render := func(context.Context) (*result, error) { return value, nil }
	loader := otter.LoaderFunc[rendercache.Key, *result](func(context.Context, rendercache.Key) (*result, error) { return value, nil })
	var a, b, c []float64
	for range rounds {
		a = append(a, shared(n, func(w int) {
			for _, k := range keys[w*n/workers : (w+1)*n/workers] {
				_, _ = ours.Render(ctx, k, render)
				ours.Invalidate(k)
			}
		}))
		b = append(b, shared(n, func(w int) {
			for _, k := range keys[w*n/workers : (w+1)*n/workers] {
				_, _ = detached(ctx, peer, k, loader)
				peer.Invalidate(k)
			}
		}))
		c = append(c, shared(n, func(w int) {
			for _, k := range keys[w*n/workers : (w+1)*n/workers] {
				_, _ = peer.Get(ctx, k, loader)
				peer.Invalidate(k)
			}
		}))
	}
	r.AtMost(0.6, "rendercache/miss/otter", compare(a, b), "x", fmt.Sprintf(
		"miss, insert and delete, the caller may leave and the work goes on; ours %.0f ns, otter in a goroutine %.0f ns", meter.Median(a), meter.Median(b)))
	r.Plain("rendercache/miss/otter/bare", compare(a, c), "x", fmt.Sprintf("otter on the caller's goroutine, %.0f ns", meter.Median(c)))
	return nil
}

// detached promises with otter what ours does: whoever asked may leave, and the work goes on for the others.
func detached(
	ctx context.Context, c *otter.Cache[rendercache.Key, *result], k rendercache.Key, load otter.LoaderFunc[rendercache.Key, *result],
) (*result, error) {
	type answer struct {
		value *result
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		v, err := c.Get(own, k, load)
		done <- answer{v, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
