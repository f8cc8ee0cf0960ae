// Command bench measures the library against its peers and its limits, side by side in one run, and prints the ratios.
//
//	go run ./internal/bench                     every suite, small sizes
//	go run ./internal/bench -only tick/         a part
//	go run ./internal/bench -size full          the sizes of the targets
//	go run ./internal/bench -json               one line of JSON for each figure
//	go run ./internal/bench -profile cpu.out    where this process spends its time, for go tool pprof
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"

	"github.com/dormouse-go/dormouse/internal/bench/acquirer"
	"github.com/dormouse-go/dormouse/internal/bench/core"
	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/forecast"
	"github.com/dormouse-go/dormouse/internal/bench/jobs"
	"github.com/dormouse-go/dormouse/internal/bench/prewarm"
	"github.com/dormouse-go/dormouse/internal/bench/rendercache"
	"github.com/dormouse-go/dormouse/internal/bench/tenancy"
	"github.com/dormouse-go/dormouse/internal/bench/tick"
	"github.com/dormouse-go/dormouse/internal/bench/workerpool"
)

// suites in the order in which they run.
var suites = []figure.Suite{
	core.Schedule,
	core.Decide,
	core.Memory,
	core.MemoryTick,
	acquirer.Suite,
	jobs.Suite,
	tenancy.Suite,
	prewarm.Suite,
	forecast.Suite,
	rendercache.Suite,
	workerpool.Suite,
	tick.Suite,
}

func main() {
	if dsn := os.Getenv(tick.WriterEnv); dsn != "" { // started by the suite itself
		if err := tick.Write(context.Background(), dsn, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "writer:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	only := flag.String("only", "", "measure only the figures whose name begins so")
	size := flag.String("size", "small", "small or full")
	asJSON := flag.Bool("json", false, "print a line of JSON for each figure")
	profile := flag.String("profile", "", "write a CPU profile of this process to a file")
	flag.Parse()
	if *size != "small" && *size != "full" {
		return fmt.Errorf("size %q: must be small or full", *size)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	if *profile != "" {
		stop, err := profileTo(*profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	r := &figure.Recorder{Full: *size == "full", Only: *only, JSON: *asJSON, Out: os.Stdout, Progress: os.Stderr}
	var errs []error
	for _, s := range suites {
		if !r.Wants(s.Name + "/") {
			continue
		}
		r.Step("suite %s", s.Name)
		if err := s.Run(ctx, r); err != nil {
			errs = append(errs, fmt.Errorf("suite %s: %w", s.Name, err))
		}
	}
	if len(r.Figures()) == 0 && len(errs) == 0 {
		return fmt.Errorf("only %q: no figure has such a name", *only)
	}
	if !*asJSON {
		errs = append(errs, r.Table())
	}
	return errors.Join(errs...)
}

// profileTo profiles this process until the returned function is called.
func profileTo(path string) (stop func(), err error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = file.Close()
	}, nil
}
