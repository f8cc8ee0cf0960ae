package webui

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// frontierView is what other lengths of a run would save and whom they would hurt, with people who come as they did.
type frontierView struct {
	Missing string
	Points  []dot
	Line    string // a path in a picture of 1000 by 100
	Grid    []gridLine
	Hours   []tickMark
	Table   []frontierRow
	Label   string
	// Of says of how many workspaces and sessions it was made.
	Of string
}

// dot is one candidate.
type dot struct {
	X, Y  string
	Kind  string // "now", "new", "best" on the line, "" above it
	Name  string
	Left  bool // the name stands on its left
	Title string
}

type frontierRow struct {
	Name, Hours, Waits, Cut, Kind string
}

const (
	// learnedFrom is how far back sessions are taken from, whole weeks so that days fall on their like.
	learnedFrom = 2 * week
	// sampled is how many workspaces of a template are run through the candidates, so that a page takes a second at most.
	sampled = 150
	// coarse is how often people of the simulation are active. Bumps are of hours.
	coarse = 20 * time.Minute
)

// lengths are the runs that are tried beside the two policies, whatever owners have chosen for themselves.
var lengths = []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour, 6 * time.Hour, 8 * time.Hour, 10 * time.Hour, 12 * time.Hour}

// frontier runs a template's fleet through the lengths, from an instant on, as if the people of the two weeks before it came
// again.
func (h *Handler) frontier(ctx context.Context, rows []*row, next lifecycle.Policy, from time.Time) (*frontierView, error) {
	source, ok := h.source.(Usage)
	if !ok {
		return &frontierView{Missing: "This host does not tell when people work, so whom a policy would hurt is not known."}, nil
	}
	fleet, sessions, err := again(ctx, source, rows, from)
	if err != nil {
		return nil, err
	}
	if sessions == 0 {
		return &frontierView{Missing: "Nobody is known to have worked in these workspaces in the last two weeks, so whom a policy would hurt is not known."}, nil
	}
	candidates, err := candidatesOf(next, from)
	if err != nil {
		return nil, err
	}
	sim, err := forecast.Simulate(slices.Values(fleet), from, from.Add(learnedFrom), candidates, forecast.SimulateConfig{
		Assumptions: forecast.Assumptions{Beat: coarse},
	})
	if err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	v := &frontierView{Of: fmt.Sprintf("Two weeks of %s, with the %s of the last two come again.",
		ofAll(len(fleet), len(rows)), text.Count(sessions, "session", "sessions"))}
	v.draw(sim)
	return v, nil
}

func ofAll(n, all int) string {
	if n == all {
		return text.Count(n, "workspace", "workspaces")
	}
	return fmt.Sprintf("%s of %s", text.Number(n), text.Count(all, "workspace", "workspaces"))
}

// again is a fleet whose people come as they came before an instant, as many weeks later. Of a large fleet it is a sample,
// spread evenly over the ids.
func again(ctx context.Context, source Usage, rows []*row, from time.Time) (fleet []forecast.Member, sessions int, err error) {
	rows = slices.SortedFunc(slices.Values(rows), func(a, b *row) int { return slices.Compare(a.Workspace.ID[:], b.Workspace.ID[:]) })
	n := min(len(rows), sampled)
	for i := range n {
		r := rows[i*len(rows)/n]
		all, err := source.Sessions(ctx, r.Workspace.ID)
		if err != nil {
			return nil, 0, fmt.Errorf("sessions of workspace %s: %w", r.Workspace.ID, err)
		}
		m := forecast.Member{Snapshot: r.Snapshot}
		for _, s := range all {
			if s.Begin.Before(from.Add(-learnedFrom)) || !s.End.Before(from) {
				continue
			}
			m.Sessions = append(m.Sessions, forecast.Session{Begin: s.Begin.Add(learnedFrom), End: s.End.Add(learnedFrom)})
		}
		sessions += len(m.Sessions)
		fleet = append(fleet, m)
	}
	return fleet, sessions, nil
}

const asItIs, withChange = "as it is", "with the change"

func candidatesOf(next lifecycle.Policy, from time.Time) ([]forecast.Candidate, error) {
	change, err := forecast.WithPolicy(withChange, next, from)
	if err != nil {
		return nil, err
	}
	list := []forecast.Candidate{{Name: asItIs}, change}
	for _, d := range lengths {
		p := next
		p.DefaultTTL, p.AllowUserTTL = d, false
		if p.MaxRuntime > 0 && p.MaxRuntime < d {
			continue
		}
		k, err := forecast.WithPolicy("all run for "+duration(d), p, from)
		if err != nil {
			continue // what other values of the policy do not go together with is no candidate
		}
		list = append(list, k)
	}
	return list, nil
}

func (v *frontierView) draw(sim forecast.Simulation) {
	left, right, top := math.Inf(1), 0.0, 0.05
	for _, r := range sim.Results {
		left, right, top = min(left, r.Hours), max(right, r.Hours), max(top, r.Pain())
	}
	room := max((right-left)/12, 1)
	left, right = max(0, left-room), right+room
	step := gridStep(top * 100)
	full := math.Ceil(top*104/float64(step)) * float64(step)
	at := func(r forecast.Result) (x, y float64) {
		return (r.Hours - left) / (right - left), 1 - 100*r.Pain()/full
	}

	best := map[string]bool{}
	for i, r := range sim.Frontier() {
		x, y := at(r)
		v.Line += fmt.Sprintf("%c%.1f %.1f", "ML"[min(i, 1)], 1000*x, 100*y)
		best[r.Name] = true
	}
	named := map[[2]float64]bool{}
	for _, r := range sim.Results { // the two policies come first, so their names stand
		x, y := at(r)
		p := dot{X: percent(x), Y: percent(y), Kind: kindOfCandidate(r.Name, best), Left: x > 0.6, Title: fmt.Sprintf(
			"%s: %s run, %s, %s for a start, %s", r.Name, text.Count(int(r.Hours+.5), "hour", "hours"), text.Count(r.Sessions, "session", "sessions"),
			text.Count(r.Cold, "waits", "wait"), text.Count(r.Interrupted, "interruption", "interruptions"))}
		if near := nearOf(named, x, y); !near {
			p.Name, named[[2]float64{x, y}] = r.Name, true
		}
		v.Points = append(v.Points, p)
	}
	slices.Reverse(v.Points) // the first are drawn over the others
	for n := 0; n <= int(full); n += step {
		v.Grid = append(v.Grid, gridLine{percent(1 - float64(n)/full), fmt.Sprintf("%d %%", n)})
	}
	by := gridStep(right - left)
	for n := int(left)/by*by + by; float64(n) < right; n += by {
		v.Hours = append(v.Hours, tickMark{X: percent((float64(n) - left) / (right - left)), Text: text.Number(n) + " h"})
	}
	v.table(sim, best)
	v.Label = "Hours run against waits for a start and interruptions: " + v.words()
}

// nearOf reports whether a name at one place would cover a name at another. What has no name has a title.
func nearOf(named map[[2]float64]bool, x, y float64) bool {
	for at := range named {
		if math.Abs(at[0]-x) < 0.11 && math.Abs(at[1]-y) < 0.08 {
			return true
		}
	}
	return false
}

func kindOfCandidate(name string, best map[string]bool) string {
	switch {
	case name == asItIs:
		return "now"
	case name == withChange:
		return "new"
	case best[name]:
		return "best"
	}
	return ""
}

func (v *frontierView) table(sim forecast.Simulation, best map[string]bool) {
	for _, r := range sim.Results {
		v.Table = append(v.Table, frontierRow{
			Name: r.Name, Hours: text.Number(int(r.Hours + .5)), Waits: text.Number(r.Cold), Cut: text.Number(r.Interrupted), Kind: kindOfCandidate(r.Name, best),
		})
	}
}

// words are the points of the line, for who cannot see it.
func (v *frontierView) words() string {
	parts := make([]string, 0, len(v.Points))
	for _, p := range v.Points {
		parts = append(parts, p.Title)
	}
	return strings.Join(parts, "; ")
}
