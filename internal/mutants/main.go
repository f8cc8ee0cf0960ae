// Command mutants asks of every condition, statement and constant of some packages whether a test would notice if it were
// wrong. It changes one thing at a time (a mutant), runs the tests that reach it, and lists the mutants that no test
// killed: each is a promise that nothing holds, or code that nothing needs.
//
// All mutants of a package are compiled into its tests at once, behind a switch that the environment sets, so that one
// mutant costs a run of a few tests and no build. The changed files exist only in an overlay of the go command; the tree
// is never touched.
//
// A survivor may live if no test could tell it from the original, or if what it breaks is no promise. Those are listed
// with their reason in accepted.txt, and count as neither killed nor survived.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

type options struct {
	only, tests    []string
	sample, jobs   int
	subtests       int
	seed           uint64
	match          string
	runs, skip     string
	jsonTo, accept string
	known          string
	trust          bool
	atLeast        float64
	list           bool
	slack          time.Duration
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("mutants", flag.ContinueOnError)
	only := f.String("only", "", "packages to mutate, as paths in the repository, separated by spaces: lifecycle/executor store/...")
	tests := f.String("tests", "", "further packages whose tests are to kill mutants")
	f.IntVar(&o.sample, "sample", 0, "try so many of the mutants, chosen by the seed; 0 is all")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the sample")
	f.IntVar(&o.jobs, "jobs", max(1, runtime.GOMAXPROCS(0)/2), "mutants tried at a time")
	f.StringVar(&o.match, "match", "", "only mutants whose description (file:line function: change) matches this regular expression")
	f.StringVar(&o.runs, "run", "", "only tests whose name matches this regular expression are to kill mutants")
	f.StringVar(&o.skip, "skip", "", "tests whose name matches this regular expression are not to kill: those that compare texts, or that take long")
	f.IntVar(&o.subtests, "subtests", 0, "take the subtests down to so many levels for tests of their own: for long tests with many of them")
	f.StringVar(&o.jsonTo, "json", "", "write every mutant and its fate to this file")
	f.StringVar(&o.known, "known", "", "a file that -json wrote before: what was killed there is not tried again, as long as its function has the same mutants")
	f.BoolVar(&o.trust, "trust", false, "do not try what is accepted; such a run does not say which of it is out of date")
	f.StringVar(&o.accept, "accepted", "internal/mutants/accepted.txt", "survivors that may live, with reasons")
	f.Float64Var(&o.atLeast, "at-least", 0, "fail below this score, in percent")
	f.BoolVar(&o.list, "list", false, "list the mutants and try none")
	f.DurationVar(&o.slack, "slack", 8*time.Second, "time a mutant's tests get beyond twice what they take")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.only, o.tests = strings.Fields(*only), strings.Fields(*tests)
	if len(o.only) == 0 {
		return o, fmt.Errorf("-only names the packages to mutate, such as lifecycle/executor")
	}
	return o, nil
}

func main() {
	o, err := parse(os.Args[1:])
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	accepted, err := readAccepted(o.accept)
	if err != nil {
		return err
	}
	targets, err := load(ctx, o.only)
	if err != nil {
		return err
	}
	mutants, err := mutateAll(targets)
	if err != nil {
		return err
	}
	chosen, err := choose(mutants, o)
	if err != nil {
		return err
	}
	if o.list {
		for _, m := range chosen {
			fmt.Println(m)
		}
		return nil
	}
	r := report{all: len(mutants), tried: chosen, accepted: accepted, whole: o.sample == 0 && o.match == "" && !o.trust}
	if o.trust {
		r.trust()
	}
	if err := r.recall(o.known); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	bench, err := prepare(ctx, work, targets, o)
	if err != nil {
		return err
	}
	return conclude(ctx, bench, r, o)
}

// conclude tries what is left to try, and says and keeps what is known in the end, also of a run that did not get through.
func conclude(ctx context.Context, b *bench, r report, o options) error {
	broken := b.try(ctx, shuffled(r.untried(), o), o)
	r.print(os.Stdout)
	if o.jsonTo != "" {
		if err := r.write(o.jsonTo); err != nil {
			return err
		}
	}
	if err := cmp.Or(ctx.Err(), broken); err != nil {
		return err
	}
	if score := r.score(); score < o.atLeast {
		return fmt.Errorf("the score is %.1f %%, and shall be %.1f %%", score, o.atLeast)
	}
	return nil
}
