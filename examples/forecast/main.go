// Command forecast shows what foresight says of a team of sixty: what will happen to one workspace, how many will run this
// week, what other policies would have done last month, what follows from a plan, which hours fit whom, and what should not
// have been written.
//
//	go run ./examples/forecast
//	go run ./examples/forecast -seed 7 -html out.html
//
// The team is invented: people of three zones who work most days at about the same time, some of them now and then. All the
// answers are made by the rules that act in production, on snapshots such as a store returns.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/lint"
)

func main() {
	switch err := run(os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "forecast:", err)
		os.Exit(1)
	}
}

// answers is what foresight says, for the text and for the page.
type answers struct {
	Next     string
	Outlook  forecast.Outlook
	Policies forecast.Simulation
	Plan     forecast.PlanComparison
	Adds     lint.PlanWarnings
	Hours    []forecast.Suggestion
	Policy   forecast.PolicySuggestion
	Warnings lint.Warnings
}

func run(args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("forecast", flag.ContinueOnError)
	f.SetOutput(stderr)
	seed := f.Uint64("seed", 1, "of the people and of their builds")
	html := f.String("html", "forecast.html", "write the page to this `file`; empty for none")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("argument %q: there are only flags", f.Arg(0))
	}
	if *html != "" { // known before the work, not after
		page, err := os.OpenFile(*html, os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			err = page.Close()
		}
		if err != nil {
			return err
		}
	}
	a, err := ask(newTeam(*seed))
	if err != nil {
		return err
	}
	if _, err := io.WriteString(stdout, a.text()); err != nil || *html == "" {
		return err
	}
	if err := writePage(*html, a); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stderr, "\nthe same with plots: %s\n", *html)
	return err
}

// ask asks everything.
func ask(t *team) (*answers, error) {
	a := &answers{Next: forecast.Words(8, forecast.Upcoming(t.members[0].Snapshot, now, time.Time{}, forecast.Assumptions{Build: t.builds}))}
	var err error
	behavior := t.learn(now)
	if a.Outlook, err = forecast.Forecast(slices.Values(t.fleet()), behavior, now, now.AddDate(0, 0, 7), forecast.ForecastConfig{}); err != nil {
		return nil, err
	}
	past := forecast.SimulateConfig{Assumptions: forecast.Assumptions{Build: t.builds}, HourCost: 0.12}
	candidates, err := t.candidates()
	if err != nil {
		return nil, err
	}
	if a.Policies, err = forecast.Simulate(t.lastMonth(), monthAgo, now, candidates, past); err != nil {
		return nil, err
	}
	if a.Hours, err = forecast.Suggest(t.lastMonth(), t.learn(monthAgo), monthAgo, now, forecast.SuggestConfig{SimulateConfig: past}); err != nil {
		return nil, err
	}
	if a.Policy, err = forecast.SuggestPolicy(t.lastMonth(), t.policy, 0.5, monthAgo, now, past); err != nil {
		return nil, err
	}
	return a, a.askForPlan(t, behavior)
}

// askForPlan asks what a policy change would do, and what is wrong with what there is.
func (a *answers) askForPlan(t *team, behavior *forecast.Behavior) error {
	next := t.policy
	next.DefaultTTL, next.TimeTilAutodelete = 4*time.Hour, 6*time.Hour
	plan, err := lifecycle.NewPolicyPlan(t.template(), lifecycle.PolicyChange{Policy: next}, now)
	if err != nil {
		return err
	}
	a.Adds = lint.Plan(plan, slices.Values(t.fleet()), lint.Config{})
	if a.Plan, err = forecast.ComparePlan(plan, slices.Values(t.fleet()), time.Time{}, forecast.PlanConfig{Behavior: behavior}); err != nil {
		return err
	}
	a.Warnings = lint.Fleet(t.fleet(), now, lint.Config{Capacity: 12})
	for _, m := range t.careless() {
		a.Warnings = append(a.Warnings, lint.Workspace(m, now, lint.Config{})...)
	}
	return nil
}

// text is all the answers in words.
func (a *answers) text() string {
	var b strings.Builder
	section := func(title, body string) { fmt.Fprintf(&b, "%s\n\n%s\n", title, body) }
	section("WHEN WILL MY WORKSPACE START AND STOP?", a.Next)
	section("HOW MANY WILL RUN THIS WEEK?", strip(a.Outlook)+"\n"+a.Outlook.Text())
	section("WHAT WOULD OTHER POLICIES HAVE DONE LAST MONTH?", a.Policies.Text()+"\nNo other beats: "+strings.Join(best(a.Policies), "; ")+".\n")
	section("WHICH HOURS FIT WHOM? (learned until a month ago, tried on the month since)", first(5, a.Hours)+"\nFor the template, at most half of the sessions kept waiting: "+a.Policy.String()+"\n")
	section("WHAT FOLLOWS FROM THIS PLAN? (stop after 4 h, delete 6 h after going dormant)", a.Plan.Text())
	section("WHAT IS WRONG WITH THE PLAN?", a.Adds.Text())
	section("WHAT SHOULD NOT HAVE BEEN WRITTEN?", a.Warnings.Text())
	return b.String()
}

func best(s forecast.Simulation) []string {
	var names []string
	for _, r := range s.Frontier() {
		names = append(names, r.Name)
	}
	return names
}

func first(n int, all []forecast.Suggestion) string {
	var b strings.Builder
	for _, s := range all[:min(n, len(all))] {
		b.WriteString(s.String() + "\n")
	}
	if more := len(all) - n; more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	return b.String()
}

// strip draws the mean of running workspaces, a line for each day and a sign for each hour.
func strip(o forecast.Outlook) string {
	const shades = " ▁▂▃▄▅▆▇█"
	top := 1.0
	for _, h := range o.Hours {
		top = max(top, h.Running.Mean)
	}
	var b strings.Builder
	signs := []rune(shades)
	for i, h := range o.Hours {
		at := h.At.UTC()
		if i == 0 || at.Hour() == 0 { // the first day begins now
			b.WriteString(at.Format("\nMon _2 Jan  ") + strings.Repeat(" ", at.Hour()))
		}
		b.WriteRune(signs[int(h.Running.Mean/top*float64(len(signs)-1)+0.5)])
	}
	fmt.Fprintf(&b, "\n            0h    6h    12h   18h   (UTC; full is %.0f workspaces)\n", top)
	return strings.TrimPrefix(b.String(), "\n")
}
