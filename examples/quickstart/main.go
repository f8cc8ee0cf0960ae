// Command quickstart replays half a year of a real fleet in some seconds: 460 developers, the instants of their commits,
// and for each a workspace that the lifecycle executor starts, stops, puts to sleep and deletes.
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -people 0
//	go run ./examples/quickstart -set frugal.ttl=4h -set frugal.dormant=21d
//	go run ./examples/quickstart -outage 2026-05-12T05:00:00Z/6h
//	go run ./examples/quickstart -activity my.csv -policies my.txt -html out.html
//
// The file has 1,383 developers; -people 0 takes them all, which needs three times as long.
//
// The executor and the store are the real ones, with every check they make; only the clock is a mock that the replay
// moves, and the people and the workers are simulated. It prints a report and writes one HTML file with plots. The same
// seed gives the same report.
//
// What is assumed: a commit ends a stretch of work (-before, -after); while it lasts, the workspace reports activity
// every five minutes, and whoever finds it not running starts it by hand. A developer's zone is the one whose clock agrees
// with most of their commits and shows the offset they used most. The reference is a workspace that is always on, from a
// developer's first session to the end.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/examples/internal/words"
)

//go:embed activity.csv
var activity []byte

//go:embed policies.txt
var policies []byte

func main() {
	debug.SetGCPercent(400) // it lives for seconds, and what it keeps is small
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		stop()
		os.Exit(1)
	}
}

// settings is the command line.
type settings struct {
	options
	activity, policies, html string
	overrides                []string
	people                   int
	// templates is the text of the policies without its comments, and what -set changed.
	templates string
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	f := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&s.activity, "activity", "", "`file` of commits, developer,at a line (default: the one built in)")
	f.StringVar(&s.policies, "policies", "", "`file` of templates, see policies.txt (default: the one built in)")
	f.Func("set", "change a setting of a template, `template.key=value`; may be repeated", func(v string) error {
		s.overrides = append(s.overrides, v)
		return nil
	})
	f.StringVar(&s.html, "html", defaultHTML(), "write the page to this `file`; empty for none")
	f.Uint64Var(&s.seed, "seed", 1, "of the random job times and failures")
	f.Float64Var(&s.fail, "fail", 0.02, "share of starts that fail")
	f.DurationVar(&s.before, "before", 45*time.Minute, "work before a commit")
	f.DurationVar(&s.after, "after", 15*time.Minute, "work after a commit")
	f.Func("outage", "let no executor tick for a time, such as `2026-05-12T05:00:00Z/6h`", s.outage.set)
	f.IntVar(&s.people, "people", 460, "replay only so many of the developers, spread over the file; 0 for all")
	f.IntVar(&s.days, "days", 0, "replay only so many days; 0 for all")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	switch {
	case f.NArg() > 0:
		return s, fmt.Errorf("argument %q: there are only flags", f.Arg(0))
	case s.fail < 0 || s.fail > 1:
		return s, fmt.Errorf("-fail %v: must be between 0 and 1", s.fail)
	case s.before < 0 || s.after < 0 || s.before+s.after < time.Minute:
		return s, fmt.Errorf("-before %v -after %v: must not be negative and make a minute at least", s.before, s.after)
	case s.days < 0:
		return s, fmt.Errorf("-days %d: must not be negative", s.days)
	case s.people < 0:
		return s, fmt.Errorf("-people %d: must not be negative", s.people)
	}
	return s, nil
}

// defaultHTML is in the example's folder when the command is run from the repository, else in the current one.
func defaultHTML() string {
	const folder = "examples/quickstart"
	if d, err := os.Stat(folder); err == nil && d.IsDir() {
		return folder + "/report.html"
	}
	return "report.html"
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	clock := quartz.NewReal()
	began := clock.Now()
	r, err := prepare(ctx, &s)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s developers, %s to %s, a tick every minute\n", words.Number(len(r.developers)), day(r.start), day(r.end))
	if err := r.run(ctx, func(now time.Time) { r.progress(stderr, now, clock.Since(began)) }); err != nil {
		return err
	}
	p := newReport(r)
	p.Command, p.Policies = command(args), s.templates
	fmt.Fprintf(stderr, "done in %.1f s\n\n", clock.Since(began).Seconds())
	if err := p.text(stdout); err != nil {
		return err
	}
	return write(s.html, p, stderr)
}

// prepare reads the files and builds the fleet.
func prepare(ctx context.Context, s *settings) (*replay, error) {
	text, err := read(s.policies, policies)
	if err != nil {
		return nil, err
	}
	plans, err := loadPlans(or(s.policies, "policies.txt"), text)
	if err != nil {
		return nil, err
	}
	for _, o := range s.overrides {
		if err := override(plans, o); err != nil {
			return nil, fmt.Errorf("-set %s: %w", o, err)
		}
	}
	s.templates = templatesOf(text, s.overrides)
	if text, err = read(s.activity, activity); err != nil {
		return nil, err
	}
	file := or(s.activity, "activity.csv")
	authors, err := loadActivity(file, text)
	if err != nil {
		return nil, err
	}
	developers, err := settle(file, some(authors, s.people), len(plans), s.options)
	if err != nil {
		return nil, err
	}
	return newReplay(ctx, plans, developers, s.options)
}

// some are n of the authors, as far apart as they can be, or all of them.
func some(all []author, n int) []author {
	if n == 0 || n >= len(all) {
		return all
	}
	few := make([]author, n)
	for i := range few {
		few[i] = all[i*len(all)/n]
	}
	return few
}

// command is the command line that makes the same page, wherever it is written.
func command(args []string) string {
	parts := []string{"go run ./examples/quickstart"}
	for i := 0; i < len(args); i++ {
		switch name := strings.TrimLeft(args[i], "-"); {
		case name == "html":
			i++ // and its file
		case strings.HasPrefix(name, "html="):
		default:
			parts = append(parts, args[i])
		}
	}
	return strings.Join(parts, " ")
}

// templatesOf is the text of the policies without its comments, and what was changed.
func templatesOf(text []byte, overrides []string) string {
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	for _, o := range overrides {
		lines = append(lines, "-set "+o)
	}
	return strings.Join(lines, "\n")
}

func read(file string, builtin []byte) ([]byte, error) {
	if file == "" {
		return builtin, nil
	}
	return os.ReadFile(file)
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// progress prints a line of what the fleet does.
func (r *replay) progress(w io.Writer, now time.Time, took time.Duration) {
	builds := 0
	for _, c := range r.ledger.transitions {
		builds += c.builds
	}
	share := float64(now.Sub(r.start)) / float64(max(r.end.Sub(r.start), 1))
	bar := strings.Repeat("█", int(share*20)) + strings.Repeat("░", 20-int(share*20))
	fmt.Fprintf(w, "%s %s  at most %3d running this week  %7s builds so far  %4.1f s\n",
		bar, day(now), r.ledger.peak, words.Number(builds), took.Seconds())
	r.ledger.peak = 0
}

// write renders the page into a file.
func write(file string, p *report, stderr io.Writer) error {
	if file == "" {
		return nil
	}
	page, err := p.page()
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, page, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "\nthe same with plots: %s\n", file)
	return nil
}
