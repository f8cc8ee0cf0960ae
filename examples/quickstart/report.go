package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dormouse-go/dormouse/examples/internal/words"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// report is what the replay has shown, ready to be printed.
type report struct {
	*ledger
	Foresight *foresight
	Points    []policyPoint
	// Command is what made it, Seed the seed, Policies the text of the templates with what -set changed.
	Command  string
	Seed     uint64
	Policies string
	// Worked is how much work a commit stands for.
	Worked  time.Duration
	Plans   []*planReport
	Total   *planReport
	Causes  []causeReport
	Stories []*storyReport
	Zones   int
	Borrow  int // developers whose zone has no whole hours
}

// planReport is one template's result.
type planReport struct {
	Name, Words string
	account
}

// Saved is how long the workspaces did not run that would have run always.
func (p *planReport) Saved() float64 { return p.always - p.ran }

// Always, Ran and Used are the hours of the account; Developers is how many it has.
func (p *planReport) Always() float64 { return p.always }
func (p *planReport) Ran() float64    { return p.ran }
func (p *planReport) Used() float64   { return p.used }
func (p *planReport) Developers() int { return p.developers }

// Share returns a part of the always-on time in percent.
func (p *planReport) Share(hours float64) float64 { return percent(hours, p.always) }

// PainShare is how many of a hundred who came to work found it not running. First sessions do not count: for them a
// workspace had to be made.
func (p *planReport) PainShare() float64 {
	return percent(float64(p.pain()), float64(p.sessions-p.found[foundNothing]))
}

// Wait is how long somebody without a running workspace had to wait for one, in the mean.
func (p *planReport) Wait() time.Duration {
	n := p.pain() + p.interrupted + p.found[foundStarting] + p.found[foundNothing]
	return (p.waited / time.Duration(max(n, 1))).Round(time.Second)
}

// causeReport is a row of the table of transitions.
type causeReport struct {
	Transition, Reason string
	Builds, Failed     int
	Share              float64
}

// storyReport is a story with its place.
type storyReport struct {
	story
	Place string
}

func newReport(r *replay) *report {
	p := &report{ledger: r.ledger, Foresight: &r.foresight, Points: r.points, Seed: r.workers.seed, Worked: r.worked, Total: &planReport{Name: "all"}}
	for i := range r.plans {
		a := r.ledger.plans[i]
		p.Plans = append(p.Plans, &planReport{r.plans[i].name, r.plans[i].words(), a})
		p.Total.add(&a)
	}
	p.Causes = causes(r.ledger.transitions)
	for _, s := range r.stories.best() {
		p.Stories = append(p.Stories, &storyReport{s, s.Place(r.plans)})
	}
	zones := map[string]bool{}
	for _, d := range r.developers {
		zones[d.zone] = true
		if usualOffset(d.commits)%3600 != 0 {
			p.Borrow++
		}
	}
	p.Zones = len(zones)
	return p
}

func (a *account) add(b *account) {
	a.developers += b.developers
	a.sessions += b.sessions
	a.always += b.always
	a.ran += b.ran
	a.used += b.used
	a.waited += b.waited
	a.interrupted += b.interrupted
	for i := range b.found {
		a.found[i] += b.found[i]
	}
}

func causes(counts map[cause]*count) []causeReport {
	most := 0
	for _, c := range counts {
		most = max(most, c.builds)
	}
	var rows []causeReport
	for k, c := range counts {
		if k.transition != lifecycle.TransitionNone {
			rows = append(rows, causeReport{
				k.transition.String(), strings.ReplaceAll(string(k.reason), "_", " "), c.builds, c.failed, percent(float64(c.builds), float64(most)),
			})
		}
	}
	slices.SortFunc(rows, func(a, b causeReport) int {
		return cmp.Or(b.Builds-a.Builds, cmp.Compare(a.Transition, b.Transition), cmp.Compare(a.Reason, b.Reason))
	})
	return rows
}

// Builds is how many there were.
func (p *report) Builds() int {
	n := 0
	for _, c := range p.Causes {
		n += c.Builds
	}
	return n
}

// text prints the report.
func (p *report) text(w io.Writer) error {
	var b strings.Builder
	p.headline(&b)
	p.tableOfCauses(&b)
	p.tableOfPlans(&b)
	p.tableOfPain(&b)
	p.tableOfLateness(&b)
	p.tellForesight(&b)
	p.tellStories(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *report) headline(b *strings.Builder) {
	t := &p.ticks
	fmt.Fprintf(b, "%s workspaces, %s to %s: %s ticks, %s of them with nothing to do, %s workspaces looked at (%.1f a tick), %s builds.\n",
		words.Number(p.Total.developers), day(p.start), day(p.end), words.Number(t.n), words.Number(t.idle), words.Number(t.evaluated),
		float64(t.evaluated)/float64(max(t.n, 1)), words.Number(p.Builds()))
	fmt.Fprintf(b, "%d time zones; %d developers have half-hour offsets, for which there are only the names of places.\n", p.Zones, p.Borrow)
	fmt.Fprintf(b, "Conflicts %d, errors %d, skipped %d. Notices sent: %s reminders, %s of dormancy, %s of failed builds. Needing attention: %d.\n",
		t.conflicts, t.errors, t.skipped, words.Number(p.events[lifecycle.EventReminder]), words.Number(p.events[lifecycle.EventDormant]),
		words.Number(p.events[lifecycle.EventBuildFailed]), p.events[lifecycle.EventNeedsAttention])
}

func (p *report) tableOfCauses(b *strings.Builder) {
	b.WriteString("\nTRANSITIONS BY KIND AND REASON\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "kind\treason\tbuilds\tfailed\t")
	for _, c := range p.Causes {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", c.Transition, c.Reason, words.Number(c.Builds), words.Number(c.Failed))
	}
	flush(t)
	fmt.Fprintf(b, "Fallen asleep %s, woken %s, deleted %s, autostarts missed for being too late %s.\n",
		words.Number(p.marks[lifecycle.EventDormant]), words.Number(p.marks[lifecycle.EventAwake]), words.Number(p.marks[lifecycle.EventDeleted]),
		words.Number(p.marks[lifecycle.EventStartMissed]))
}

func (p *report) tableOfPlans(b *strings.Builder) {
	b.WriteString("\nWORKSPACE-HOURS SAVED AGAINST ALWAYS-ON\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "policy\tworkspaces\talways on h\tran h\tin use h\tsaved h\tsaved\t")
	for _, r := range append(slices.Clone(p.Plans), p.Total) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%.1f %%\t\n", r.Name, words.Number(r.developers), hours(r.always), hours(r.ran), hours(r.used), hours(r.Saved()), r.Share(r.Saved()))
	}
	flush(t)
	for _, r := range p.Plans {
		fmt.Fprintf(b, "  %s: %s\n", r.Name, r.Words)
	}
	fmt.Fprintf(b, "In use is little everywhere: of people only commits are known, each stands for %s of work, and most committed on a few days.\n", short(p.Worked))
}

func (p *report) tableOfPain(b *strings.Builder) {
	b.WriteString("\nPAIN: AT WORK WHILE THE WORKSPACE WAS NOT THERE\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "policy\tsessions\tready\tstarting\tstopped\tdormant\tbroken\tdeleted\tnot there\tcut off\tmean wait\t")
	for _, r := range append(slices.Clone(p.Plans), p.Total) {
		f := &r.found
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t%.1f %%\t%d\t%s\t\n", r.Name, words.Number(r.sessions), words.Number(f[foundReady]), f[foundStarting],
			words.Number(f[foundStopped]), f[foundDormant], f[foundBroken], f[foundDeleted], r.PainShare(), r.interrupted, r.Wait())
	}
	flush(t)
	fmt.Fprintf(b, "Not there: of those who came to work, without the %s first sessions, for which a workspace had to be made. Cut off: stopped at work.\n", words.Number(p.Total.found[foundNothing]))
}

func (p *report) tableOfLateness(b *strings.Builder) {
	b.WriteString("\nLATENESS OF AUTOMATIC TRANSITIONS (a tick every minute)\n")
	for _, l := range p.lateRows() {
		if l.Count > 0 {
			fmt.Fprintf(b, "%14s  %-40s %s\n", l.Label, strings.Repeat("█", int(l.Share*0.4+0.5)), words.Number(l.Count))
		}
	}
	fmt.Fprintf(b, "The latest was %s late.\n", short(p.latest.Round(time.Second)))
}

func (p *report) tellForesight(b *strings.Builder) {
	b.WriteString("\nFORESIGHT: WHAT WAS FORETOLD, AND WHAT ANOTHER POLICY WOULD HAVE DONE\n")
	if f := p.Foresight; len(f.actual) > 0 {
		fmt.Fprintf(b, "From %s on, each Monday for its week, running workspaces by the hour: %.1f %% of the peak off in the mean; the week before, repeated, is %.1f %% off.\n",
			day(f.from), f.error, f.week)
		fmt.Fprintf(b, "%.0f %% of the hours lay in the band of %.0f %%.\n", f.within, 100*f.outlook.Band)
	}
	b.WriteString("The whole fleet under one policy, those that no other beats:\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "saved\tkept waiting\tpolicy\t")
	for _, x := range slices.SortedFunc(slices.Values(p.Points), byHours) {
		if x.Best || x.Plan >= 0 {
			fmt.Fprintf(t, "%.1f %%\t%.1f %%\t%s\t\n", x.Saved, x.Waits, x.Name)
		}
	}
	flush(t)
}

func (p *report) tellStories(b *strings.Builder) {
	b.WriteString("\nSTORIES\n")
	for i := range p.Stories {
		s := p.Stories[i]
		fmt.Fprintf(b, "\n%2d. %s (%s, %s)\n    %s\n    > %s\n", i+1, s.Title, s.Place, s.When(), s.Told, s.Said.Summary)
		if a := s.Acting(); a != "" {
			fmt.Fprintf(b, "    > %s\n", a)
		}
	}
}

// lateRow is a bar of the histogram of lateness.
type lateRow struct {
	Label string
	Count int
	Share float64
}

// punctual is how many rows tell of what was done by the next tick.
const punctual = 8

func (p *report) lateRows() []lateRow {
	most := slices.Max(p.late[:])
	var rows []lateRow
	for i, n := range p.late {
		label := "0s"
		switch {
		case i == len(lateBounds):
			label = "> " + short(lateBounds[i-1])
		case i > 0:
			label = "≤ " + short(lateBounds[i])
		}
		rows = append(rows, lateRow{label, n, percent(float64(n), float64(most))})
	}
	// Of what never happened, one row is enough.
	for len(rows) > punctual && rows[len(rows)-1].Count == 0 && rows[len(rows)-2].Count == 0 {
		rows = rows[:len(rows)-1]
	}
	return rows
}

func flush(t *tabwriter.Writer) {
	_ = t.Flush() // into memory
}

func percent(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * part / whole
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

func hours(h float64) string { return words.Number(int(math.Round(h))) }
