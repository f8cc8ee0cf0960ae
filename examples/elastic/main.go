//go:build linux

// Command elastic shows a worker pool at work:
//
//	go run ./examples/elastic
//
// First, jobs are posted in two bursts, and real workers, processes of this machine, appear for them and disappear when
// they idle. Next, a provider throttles and runs out of quota for a while, and the time to clear the queue is set against the
// ideal. Then the same day is replayed under three policies (no floor, a floor, a floor by the clock), as fast as the
// pure core can plan it, and what people wait is set against what the workers cost. The plots are in elastic.html.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dormouse-go/dormouse/workerpool/localprocess"
)

func main() {
	localprocess.Init()
	out := flag.String("out", "elastic.html", "where the page is written")
	jobs := flag.Int("jobs", 120, "how many jobs are posted")
	workers := flag.Int("workers", 24, "how many workers there are at most")
	takes := flag.Duration("takes", time.Second, "how long the shortest job takes; the longest takes 2.6 times as long")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := show(ctx, *out, burst{*jobs, *workers, *takes}); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "elastic:", err)
		os.Exit(1)
	}
}

func show(ctx context.Context, out string, b burst) error {
	if b.jobs < 1 || b.workers < 1 {
		return errors.New("there must be one job and one worker at least")
	}
	fmt.Printf("%d jobs in two bursts, at most %d real workers\n\n", b.jobs, b.workers)
	ramp, err := realWorkers(ctx, b, os.Stdout)
	if err != nil {
		return err
	}
	fmt.Printf("\na provider that throttles, runs out and recovers\n\n")
	trouble, _, err := throttled(ctx, os.Stdout)
	if err != nil {
		return err
	}
	fmt.Printf("\nthe same day under three policies\n\n")
	var days []*replay
	fmt.Printf("%-32s %10s %10s %10s %8s %9s\n", "policy", "wait mean", "wait p95", "cost", "idle", "workers")
	for _, p := range policies() {
		d := p.replay()
		days = append(days, d)
		fmt.Printf("%-32s %9.0fs %9.0fs %10.2f %7.0f%% %9d\n", p.name, d.meanWait().Seconds(), d.waitAt(.95).Seconds(), d.cost, 100*d.idleShare(), d.created)
	}
	if err := writePage(out, ramp, trouble, days); err != nil {
		return err
	}
	fmt.Printf("\nplots: %s\n", out)
	return ctx.Err()
}
