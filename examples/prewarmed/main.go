// Command prewarmed shows a pool of real processes under load, and what sizes would have done for recorded activity.
//
//	go run ./examples/prewarmed
//
// starts interpreters that take a moment to become ready, lets people claim and return them, and writes a page with plots
// of what was idle, used and starting, of the hit rate and of the times from request to process. On the same page it
// replays half a year of developers' activity against fixed, scheduled and forecast sizes: hit rate against idle hours.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are what the flags choose.
type options struct {
	length   time.Duration
	build    time.Duration
	every    time.Duration
	hold     time.Duration
	size     int
	activity string
	report   string
}

func main() {
	var o options
	flag.DurationVar(&o.length, "for", 20*time.Second, "how long people claim processes")
	flag.DurationVar(&o.build, "build", 400*time.Millisecond, "how long a process takes to become ready")
	flag.DurationVar(&o.every, "every", 200*time.Millisecond, "mean time between two claims")
	flag.DurationVar(&o.hold, "hold", 500*time.Millisecond, "mean time that a process is used")
	flag.IntVar(&o.size, "size", 4, "processes that are kept ready")
	flag.StringVar(&o.activity, "activity", "", "recorded activity (default: the one of examples/quickstart)")
	flag.StringVar(&o.report, "out", "prewarmed.html", "where the page is written")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "prewarmed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	starts, err := readActivity(o.activity)
	if err != nil {
		return err
	}
	curves, err := compare(starts)
	if err != nil {
		return err
	}
	for _, c := range curves {
		for _, p := range c.Points {
			fmt.Fprintf(out, "%-9s %-12s %5.1f %% of %d claims found one ready, %5.1f hours idle a day\n",
				c.Name, p.Label, 100*p.HitRate, p.Claims, p.IdleHours)
		}
	}
	live, err := watch(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d claims of real processes, %.0f %% ready at once; p50 %v warm, %v otherwise\n",
		len(live.warm)+len(live.cold), 100*live.hitRate(), median(live.warm), median(live.cold))
	f, err := os.Create(o.report)
	if err != nil {
		return err
	}
	if err := errors.Join(writePage(f, o, live, curves), f.Close()); err != nil {
		return err
	}
	fmt.Fprintln(out, "written to", o.report)
	return nil
}
