//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/localprocess"
)

// sample is what the pool looks like at one moment. Of the states, what boots includes what is pending.
type sample struct {
	at                             time.Duration
	waiting                        int
	booting, idle, running, ending int
	cost                           float64
}

// burst is what is posted, in two halves, and how many workers there may be for it. The shortest job takes takes.
type burst struct {
	jobs, workers int
	takes         time.Duration
}

// realConfig has workers come and go within seconds. A probe is a process of this machine: with many workers each is asked
// less often. A worker stays as long as the shortest job takes, so that the second burst finds those of the first.
func realConfig(b burst) workerpool.Config {
	return workerpool.Config{
		Name: "elastic",
		Limits: workerpool.Limits{
			Types:      []workerpool.InstanceType{{Name: "process", Price: 3.6, Room: workerpool.Resources{Slots: 2}}},
			MaxWorkers: b.workers, MaxCreating: 8, IdleTimeout: max(3*time.Second, b.takes), ScaleInDelay: 2 * time.Second,
		},
		ProbeInterval: max(500*time.Millisecond, time.Duration(b.workers)*20*time.Millisecond), BootInterval: 200 * time.Millisecond, SyncInterval: 2 * time.Second,
		PollInterval: time.Second, StaleTime: time.Second, OperationsPerSecond: 50,
		Logger: slog.New(slog.DiscardHandler),
	}
}

// realWorkers posts jobs in two bursts to a pool of real workers, and returns what it saw until the last worker went.
func realWorkers(ctx context.Context, b burst, out io.Writer) (ramp []sample, err error) {
	root, err := os.MkdirTemp("", "elastic")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(root)
	provider, err := localprocess.New(root, localprocess.Config{BootTime: time.Second})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, destroyAll(provider)) }() // whatever happens, nothing is left behind
	q := newQueue()
	pool, err := workerpool.New(provider, provider, q, realConfig(b))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	return watch(ctx, pool, q, b, out)
}

func destroyAll(provider *localprocess.Provider) error {
	ctx := context.Background()
	all, err := provider.List(ctx, nil)
	for _, in := range all {
		err = errors.Join(err, provider.Destroy(ctx, in.ID))
	}
	return err
}

// watch posts half of the jobs now and the others when half of those have ended, and looks on.
func watch(ctx context.Context, pool *workerpool.Pool, q *queue, b burst, out io.Writer) ([]sample, error) {
	const every = 250 * time.Millisecond
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	begun := time.Now()
	post := func(from, to int) {
		for i := from; i < to; i++ {
			q.post(workerpool.Job{
				ID: workerpool.JobID(fmt.Sprint("job-", i)), Since: time.Now(),
				Payload: fmt.Appendf(nil, "sleep %.2f", b.takes.Seconds()*(1+float64(i%5)*.4)),
			})
		}
		pool.Wake()
	}
	post(0, b.jobs/2)
	var ramp []sample
	for posted := b.jobs / 2; ; {
		select {
		case <-ctx.Done():
			return ramp, ctx.Err()
		case <-ticker.C:
		}
		waiting, _, done := q.counts()
		s := look(pool, time.Since(begun), waiting)
		ramp = append(ramp, s)
		if len(ramp)%4 == 0 {
			fmt.Fprintln(out, s.line(done))
		}
		if posted < b.jobs && done >= (posted+1)/2 {
			post(posted, b.jobs)
			posted = b.jobs
		}
		if done == b.jobs && pool.Counts().Total == 0 {
			fmt.Fprintln(out, s.line(done))
			tell(out, pool, time.Since(begun))
			return ramp, nil
		}
	}
}

func look(pool *workerpool.Pool, at time.Duration, waiting int) sample {
	c := pool.Counts().Workers
	return sample{
		at: at, waiting: waiting, cost: pool.Cost().Total, booting: c[workerpool.Pending] + c[workerpool.Booting] + c[workerpool.Unknown],
		idle: c[workerpool.Idle], running: c[workerpool.Running], ending: c[workerpool.Shutdown],
	}
}

// line draws the workers: a letter each.
func (s sample) line(done int) string {
	bar := strings.Repeat("b", s.booting) + strings.Repeat("R", s.running) + strings.Repeat("i", s.idle) + strings.Repeat("x", s.ending)
	return fmt.Sprintf("%4.0fs  %3d wait %3d done  cost %.4f  %s", s.at.Seconds(), s.waiting, done, s.cost, bar)
}

// tell sums up what the pool did.
func tell(out io.Writer, pool *workerpool.Pool, took time.Duration) {
	stats, cost := pool.Stats(), pool.Cost()
	created, ended := uint64(0), uint64(0)
	for _, n := range stats.Creates {
		created += n
	}
	for _, n := range stats.Shutdowns {
		ended += n
	}
	fmt.Fprintf(out, "        b boots, R runs jobs, i is idle, x ends\n")
	fmt.Fprintf(out, "        %d workers came and %d went in %.0f s; of the cost %s\n", created, ended, took.Seconds(), uses(cost))
}

// uses says what a cost was spent on, all of it.
func uses(c workerpool.Cost) string {
	if c.Total == 0 {
		return "nothing"
	}
	share := func(part float64) float64 { return 100 * part / c.Total }
	return fmt.Sprintf("%.0f %% went to jobs, %.0f %% to booting, %.0f %% to idling, %.0f %% to workers that were leaving",
		share(c.Busy), share(c.Booting), share(c.Idle), share(c.Leaving))
}
