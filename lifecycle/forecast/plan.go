package forecast

import (
	"cmp"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/text"
)

// PlanConfig says what is assumed when a policy plan is compared with the present policy. The zero value assumes that nobody
// works.
type PlanConfig struct {
	SimulateConfig
	// Behavior, if set, draws when people work, the same under both policies. Seed chooses the draw.
	Behavior *Behavior
	Seed     uint64
	// List is how many of the workspaces to which something else happens are listed; all are counted. Defaults to 1000.
	List int
}

// PlanComparison is what a policy plan would do to the workspaces of its template in the time ahead, beside what the present
// policy does. It is a plain value.
type PlanComparison struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// Present and Planned are what the workspaces do under each policy.
	Present Result `json:"present"`
	Planned Result `json:"planned"`
	// Affected counts the workspaces to which something else happens. Differences lists the first thing that does, the
	// earliest first.
	Affected    int              `json:"affected"`
	Differences []PlanDifference `json:"differences,omitempty"`
}

// PlanDifference is the first thing that happens to one workspace otherwise than under the present policy.
type PlanDifference struct {
	WorkspaceID uuid.UUID `json:"workspace_id"`
	Workspace   string    `json:"workspace"`
	// At is when. Present and Planned say what happens under each policy, in words; they are empty where nothing more does.
	At      time.Time `json:"at"`
	Present string    `json:"present,omitempty"`
	Planned string    `json:"planned,omitempty"`
}

// ComparePlan runs the workspaces of a template from the instant of a policy plan up to another, zero for four weeks, under
// the present policy and as the plan would leave them, with its graces. Where [lifecycle.PolicyPlan] says how the plan moves
// the next thing that happens to each, this says what follows. The fleet is read once.
//
// The time is linear in the workspaces and in what happens to them, about that of [Simulate] with three candidates.
func ComparePlan(p lifecycle.PolicyPlan, fleet iter.Seq[lifecycle.Snapshot], until time.Time, c PlanConfig) (PlanComparison, error) {
	from := p.Change.At.UTC()
	if until.IsZero() {
		until = from.AddDate(0, 0, 28)
	}
	if from.IsZero() {
		return PlanComparison{}, invalid.New("PolicyPlan.Change.At", "", "must be set, as NewPolicyPlan does")
	}
	if err := cmp.Or(validSpan(from, until), invalid.Count("PlanConfig.List", c.List), c.validate()); err != nil {
		return PlanComparison{}, err
	}
	run := newComparing(p, from, until.UTC(), c)
	parallel(fleet, processors(c.Parallel), run.live)
	return run.result(), nil
}

// comparing is a comparison in the making.
type comparing struct {
	plan             lifecycle.PolicyPlan
	c                PlanConfig
	moods            []float64
	present, planned *trial

	mu    sync.Mutex
	found []PlanDifference
}

func newComparing(p lifecycle.PolicyPlan, from, until time.Time, c PlanConfig) *comparing {
	c.List = cmp.Or(c.List, 1000)
	if c.Behavior != nil {
		if c.Build == nil {
			c.Build = c.Behavior.Builds(c.Seed)
		}
	}
	c.Assumptions = c.Assumptions.withDefaults()
	trial := func(name string, set func(*lifecycle.Snapshot)) *trial {
		return &trial{candidate: Candidate{Name: name, Set: set}, from: from, until: until, a: c.Assumptions, series: newSeries(from, until)}
	}
	r := &comparing{plan: p, c: c, present: trial("present policy", nil)}
	r.planned = trial("planned policy", func(s *lifecycle.Snapshot) { apply(&r.plan, s) })
	if b := c.Behavior; b != nil {
		r.moods = b.moods(until, &ForecastConfig{Draws: 1, Seed: c.Seed})[0]
	}
	return r
}

// live runs a workspace under both policies.
func (r *comparing) live(s lifecycle.Snapshot) {
	m := Member{Snapshot: s}
	if b := r.c.Behavior; b != nil {
		if h := b.habitOf(&s); h != nil {
			m.Sessions = b.draw(h, r.present.until, r.moods, rand.New(rand.NewPCG(r.c.Seed^mix(s.Workspace.ID), 0)))
		}
	}
	r.present.live(m)
	r.planned.live(m)
	if d, differs := r.difference(m); differs {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.found = append(r.found, d)
	}
}

// difference returns the first step at which the two lives of a workspace part.
func (r *comparing) difference(m Member) (PlanDifference, bool) {
	a := r.c.Assumptions
	a.Work = Recorded(m.Sessions)
	planned := m.Snapshot
	apply(&r.plan, &planned)
	next, stop := iter.Pull(Upcoming(planned, r.present.from, r.present.until, a))
	defer stop()
	d := PlanDifference{WorkspaceID: m.Snapshot.Workspace.ID, Workspace: text.Name(&m.Snapshot)}
	for now := range Upcoming(m.Snapshot, r.present.from, r.present.until, a) {
		then, ok := next()
		if ok && sameStep(now, then) {
			continue
		}
		d.At, d.Present = now.At, now.String()
		if ok {
			d.Planned = then.String()
			if then.At.Before(d.At) {
				d.At = then.At
			}
		}
		return d, true
	}
	then, ok := next()
	d.At, d.Planned = then.At, ""
	if ok {
		d.Planned = then.String()
	}
	return d, ok
}

// sameStep reports whether people see the same in two steps.
func sameStep(a, b Step) bool {
	return a.At.Equal(b.At) && a.Kind == b.Kind && a.Rule == b.Rule && a.Transition == b.Transition && a.Status == b.Status && a.Until.Equal(b.Until)
}

func (r *comparing) result() PlanComparison {
	slices.SortFunc(r.found, func(a, b PlanDifference) int {
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.WorkspaceID.String(), b.WorkspaceID.String()))
	})
	return PlanComparison{
		From: r.present.from, Until: r.present.until, Present: r.present.result(&r.c.SimulateConfig), Planned: r.planned.result(&r.c.SimulateConfig),
		Affected: len(r.found), Differences: r.found[:min(len(r.found), r.c.List)],
	}
}

// Text is the comparison as a table, and what happens otherwise to the first ten workspaces.
func (c PlanComparison) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s to %s: something else happens to %d of %s\n", text.Stamp(c.From), text.Stamp(c.Until),
		c.Affected, text.Count(c.Present.Workspaces, "workspace", "workspaces"))
	b.WriteString(Simulation{Results: []Result{c.Present, c.Planned}}.Text())
	shown := min(10, len(c.Differences))
	for _, d := range c.Differences[:shown] {
		fmt.Fprintf(&b, "%s\n  now      %s\n  planned  %s\n", d.Workspace, cmp.Or(d.Present, "nothing more"), cmp.Or(d.Planned, "nothing more"))
	}
	if more := c.Affected - shown; more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	return b.String()
}

// SVG draws the running workspaces under both policies, hour by hour.
func (c PlanComparison) SVG(title string) string {
	running := func(hours []Hour) (all []float64, most float64) {
		for _, h := range hours {
			all, most = append(all, h.Running), max(most, h.Running)
		}
		return all, most
	}
	now, most := running(c.Present.ByHour)
	then, mostThen := running(c.Planned.ByHour)
	chart := newChart(0, float64(max(len(now)-1, 1)), max(most, mostThen))
	chart.days(c.From, len(now))
	chart.line("a", now)
	chart.line("f", then)
	chart.legend([]string{"f", "a"}, []string{"planned policy", "present policy"})
	return chart.svg(title)
}
