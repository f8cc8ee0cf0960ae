//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/workerpooltest"
)

// The provider for tests, in a hurry: a minute takes half a second.
const minute = 500 * time.Millisecond

// The trouble: so many creates a minute, a quota that is lifted after ten minutes, and jobs of five minutes.
const (
	throttledJobs = 120
	creates       = 10
	quota         = 15
	lifted        = 10 * minute
	stubRuns      = 5 * minute
	stubBoots     = minute / 2
)

// ideal is what an all-knowing pool needs: the quota's workers end two rounds of jobs before it is lifted, then the rest of the
// workers come at the pace of the creates, and the last one boots and runs one job.
const ideal = lifted + (throttledJobs-3*quota)/creates*minute + stubBoots + stubRuns

// throttled runs a pool at a provider that throttles, runs out of quota and recovers, and returns what it saw and how long
// the queue took to clear.
func throttled(ctx context.Context, out io.Writer) (samples []sample, took time.Duration, err error) {
	provider, q := workerpooltest.NewProvider(nil), newQueue()
	provider.Configure(func(k *workerpooltest.Knobs) {
		k.RateLimit, k.RateWindow, k.Quota = creates, minute, map[string]int{"small": quota}
		k.BootTime, k.JobTime = stubBoots, stubRuns
	})
	pool, err := workerpool.New(provider, provider, q, workerpool.Config{
		Limits: workerpool.Limits{
			Types:      []workerpool.InstanceType{{Name: "small", Price: 3600 / minute.Seconds(), Room: workerpool.Resources{Slots: 1}}},
			MaxWorkers: throttledJobs, MaxCreating: throttledJobs, IdleTimeout: minute, ScaleInDelay: minute,
		},
		FirstPause: minute, LongestPause: 30 * minute, ProbeInterval: minute / 6, BootInterval: minute / 30, SyncInterval: minute,
		PollInterval: minute / 6, ShutdownTimeout: minute / 6, OperationsPerSecond: 1000, ProbesPerSecond: 10_000, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, 0, err
	}
	run, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(run) }()
	samples, took = clearQueue(ctx, pool, provider, q)
	fmt.Fprintf(out, "        %d jobs at a provider that throttles: clear after %.1f minutes, ideal %.1f\n", throttledJobs, took.Seconds()/minute.Seconds(), ideal.Seconds()/minute.Seconds())
	cancel()
	return samples, took, <-ended
}

// clearQueue posts the jobs, lifts the quota when its time has come, and looks on until all workers are gone.
func clearQueue(ctx context.Context, pool *workerpool.Pool, provider *workerpooltest.Provider, q *queue) (samples []sample, took time.Duration) {
	for i := range throttledJobs {
		q.post(workerpool.Job{ID: workerpool.JobID(fmt.Sprint("job-", i)), Since: time.Now()})
	}
	pool.Wake()
	begun, free := time.Now(), false
	ticker := time.NewTicker(minute / 10)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return samples, took
		case <-ticker.C:
		}
		at := time.Since(begun)
		if !free && at >= lifted {
			free = true
			provider.Configure(func(k *workerpooltest.Knobs) { k.Quota = nil })
		}
		waiting, _, done := q.counts()
		samples = append(samples, look(pool, at, waiting))
		if took == 0 && done == throttledJobs {
			took = at
		}
		if took > 0 && pool.Counts().Total == 0 {
			return samples, took
		}
	}
}
