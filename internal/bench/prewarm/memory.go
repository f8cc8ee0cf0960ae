package prewarm

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/memory"
)

// runMemory measures the store in memory: what a claim costs in a small and in a large pool, and what a member takes.
func runMemory(ctx context.Context, r *figure.Recorder) error {
	small, err := claimTime(ctx, 100)
	if err != nil {
		return err
	}
	large, err := claimTime(ctx, 100_000)
	if err != nil {
		return err
	}
	r.AtMost(1, "prewarm/memory/claim", float64(large)/1e3, "us", "100,000 ready members, one claim")
	r.AtMost(1.5, "prewarm/memory/flat", float64(large)/float64(small), "x", fmt.Sprintf("the same against 100 ready members, %v", small))
	bytes, err := memberBytes(ctx, 100_000)
	if err != nil {
		return err
	}
	r.AtMost(400, "prewarm/memory/bytes", bytes, "B", "for each of 100,000 ready members, indexes included")
	return nil
}

// claimTime returns the CPU time of one claim in a pool of a size. Each claimed member is replaced outside the measured
// time, so that the pool keeps its size.
func claimTime(ctx context.Context, size int) (time.Duration, error) {
	const rounds, perRound = 200, 50
	s := memory.NewMembers()
	if err := insert(ctx, s, ready(size)); err != nil {
		return 0, err
	}
	pick := prewarm.Pick{Pool: poolName, Version: "v1", LivesUntil: now.Add(time.Minute)}
	var times []time.Duration
	for range rounds {
		claims := make([][]prewarm.Claim, perRound)
		for i := range claims {
			claims[i] = []prewarm.Claim{{Key: uuid.NewString(), Owner: "ann", IdleTimeout: time.Hour}}
		}
		begun := time.Now()
		for i := range claims {
			if grants, err := s.ClaimMembers(ctx, now, pick, claims[i]); err != nil || grants[0].Result != prewarm.GrantNew {
				return 0, fmt.Errorf("claim: %+v, %w", grants, err)
			}
		}
		times = append(times, time.Since(begun)/perRound)
		if err := insert(ctx, s, ready(perRound)); err != nil {
			return 0, err
		}
	}
	return meter.Median(times), nil
}

func memberBytes(ctx context.Context, n int) (float64, error) {
	before := heap()
	s := memory.NewMembers()
	for range n / 1000 {
		if err := insert(ctx, s, ready(1000)); err != nil {
			return 0, err
		}
	}
	after := heap()
	runtime.KeepAlive(s)
	return float64(after-before) / float64(n), nil
}

// heap is what is alive after a collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
