package prewarm_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
)

// Two replicas, a backend that fails and forgets to tell, claims and returns at random: whenever the harm ends, the pool
// comes to rest at its size by itself, and then nothing moves any more. A wake-up that is lost anywhere shows as a pool
// that stays below its size, or that is busy without a reason.
func TestPoolComesToRest(t *testing.T) {
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			r := newRig(t, 4)
			r.backend.Set(func(k *prewarmtest.Knobs) { k.Build = 20 * time.Second })
			stops := []func(){run(t, r.another()), run(t, r.another())}
			p := r.another()
			stops = append(stops, run(t, p))
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
			var group sync.WaitGroup
			for range 6 {
				seed := random.Uint64()
				group.Go(func() { harass(ctx, p, seed) })
			}
			for ctx.Err() == nil {
				time.Sleep(time.Duration(1+random.IntN(60)) * time.Second)
				r.backend.Set(func(k *prewarmtest.Knobs) {
					k.LoseEvents, k.DoubleEvents = random.IntN(3) == 0, random.IntN(3) == 0
					k.Delay = time.Duration(random.IntN(3)) * 10 * time.Second
					k.CreateErr, k.DestroyErr, k.ListErr = fault(random), fault(random), fault(random)
				})
			}
			cancel()
			group.Wait()
			r.backend.Set(func(k *prewarmtest.Knobs) { *k = prewarmtest.Knobs{Build: 20 * time.Second} })
			if err := p.Resume(context.Background()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			r.pool = p
			r.want(4, prewarm.Ready)
			if n := len(r.backend.Resources()); n != 4 {
				t.Errorf("seed %d: %d resources for 4 members", seed, n)
			}
			calls := r.backend.Calls()
			time.Sleep(time.Hour)
			synctest.Wait()
			if now := r.backend.Calls(); now.Create != calls.Create || now.Destroy != calls.Destroy {
				t.Errorf("seed %d: at rest it creates and destroys: %+v, %+v", seed, calls, now)
			}
			for _, stop := range stops {
				stop()
			}
		})
	}
}

func fault(r *rand.Rand) error {
	if r.IntN(4) == 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// harass claims and returns, leaves in the middle, and forgets what it has.
func harass(ctx context.Context, p *prewarm.Pool, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	for ctx.Err() == nil {
		bounded, cancel := context.WithTimeout(ctx, time.Duration(1+random.IntN(90))*time.Second)
		h, err := p.Claim(bounded, prewarm.Request{
			Owner: "ann", IfEmpty: prewarm.IfEmpty(random.IntN(3)), MaxWait: time.Minute, IdleTimeout: time.Duration(1+random.IntN(5)) * time.Minute,
		})
		cancel()
		if err == nil && random.IntN(4) > 0 {
			time.Sleep(time.Duration(random.IntN(60)) * time.Second)
			_ = p.Return(ctx, h.Member.ID)
		}
		time.Sleep(time.Duration(1+random.IntN(20)) * time.Second)
	}
}
