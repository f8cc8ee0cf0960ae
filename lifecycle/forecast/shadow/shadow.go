// Package shadow says what the rules would have done instead of another scheduler, while that one still goes on: for a host
// that wants to look before it changes over. Like package forecast it is pure, and asks [lifecycle.Decide] and nothing else.
package shadow

import (
	"cmp"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/text"
)

// Comparison compares the scheduler that a host has with what the rules would have done instead: the host's scheduler goes on,
// the rules only look, and nothing is changed. Tell it of every workspace now and then with [Comparison.Look], and of what the
// scheduler does by itself with [Comparison.Acted]. What people do is seen at the next look and is nobody's difference.
//
// Its memory is linear in the workspaces that it has seen a transition of. It must not be used concurrently.
type Comparison struct {
	c       Config
	report  Report
	pending map[uuid.UUID]Difference
	seen    map[uuid.UUID]struct{}
}

// Config says what counts as the same. The zero value works.
type Config struct {
	// Assumptions are for the instant at which the rules would have done what the scheduler has done already.
	forecast.Assumptions
	// Tolerance is how far apart two instants may be that count as the same. Defaults to 5 minutes.
	Tolerance time.Duration
	// List is how many differences the report lists; it counts all. Defaults to 1000.
	List int
}

func (c Config) withDefaults() Config {
	if c.Tolerance == 0 {
		c.Tolerance = 5 * time.Minute
	}
	if c.List == 0 {
		c.List = 1000
	}
	return c
}

func (c Config) validate() error {
	return cmp.Or(
		invalid.Duration("Config.Tolerance", c.Tolerance),
		invalid.Count("Config.List", c.List),
		c.Assumptions.Validate(),
	)
}

// New begins a comparison at an instant. The error names what in the configuration cannot be used.
func New(from time.Time, c Config) (*Comparison, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	return &Comparison{
		c: c.withDefaults(), report: Report{From: from.UTC()},
		pending: map[uuid.UUID]Difference{}, seen: map[uuid.UUID]struct{}{},
	}, nil
}

// Look asks the rules about a workspace as it is, with what the scheduler and people have made of it. What is due is noted
// once, with the instant at which it became due, and waits for the scheduler. What is due no more, because somebody else
// acted or worked on, is what the rules alone would have done.
func (s *Comparison) Look(w lifecycle.Snapshot, now time.Time) {
	d := due(w, now)
	noted, waits := s.pending[w.Workspace.ID]
	action, acts := actionOf(d)
	switch {
	case waits && (acts && action == noted.Action || d.Missed):
		return
	case waits:
		s.alone(noted, &w, now)
	}
	if !acts {
		return
	}
	s.pending[w.Workspace.ID] = Difference{
		WorkspaceID: w.Workspace.ID, Workspace: text.Name(&w), Action: action, Rule: d.Rule, Would: d.DueAt.UTC(),
	}
}

// Acted notes what the scheduler did to a workspace: the snapshot is from before, the transition is TransitionNone where a
// workspace only became dormant. If the rules would not have done it yet, it is looked up when they would, within four
// weeks.
func (s *Comparison) Acted(before lifecycle.Snapshot, t lifecycle.Transition, at time.Time) {
	at = at.UTC()
	id, action := before.Workspace.ID, actionFor(t)
	d, waits := s.pending[id]
	if waits && d.Action != action {
		s.alone(d, &before, at)
		waits = false
	}
	if !waits {
		d = Difference{WorkspaceID: id, Workspace: text.Name(&before), Action: action}
		d.Rule, d.Would = s.ahead(before, action, at)
	}
	d.Did = at
	d.judge(s.c.Tolerance)
	d.InUse = d.Verdict == Sooner && usedAfter(&before, d.Would)
	s.add(d)
}

// Report returns the comparison up to an instant. What the rules want and the scheduler has not done by then counts as
// theirs alone.
func (s *Comparison) Report(until time.Time) Report {
	r := s.report.clone()
	r.Until, r.Workspaces = until.UTC(), len(s.seen)
	for _, d := range sortedByTime(s.pending) {
		if _, known := s.seen[d.WorkspaceID]; !known {
			r.Workspaces++
		}
		d.Verdict, d.Gone = OnlyRules, r.Until
		r.count(d, s.c.List)
	}
	return r
}

// alone notes that what the rules wanted is due no more, and that the scheduler did not do it.
func (s *Comparison) alone(d Difference, w *lifecycle.Snapshot, now time.Time) {
	d.Verdict, d.Gone = OnlyRules, now.UTC()
	d.InUse = d.Action != Start && usedAfter(w, d.Would)
	s.add(d)
}

func (s *Comparison) add(d Difference) {
	delete(s.pending, d.WorkspaceID)
	s.seen[d.WorkspaceID] = struct{}{}
	s.report.count(d, s.c.List)
}

// ahead returns when the rules would have done the same to a workspace, zero for not within four weeks.
func (s *Comparison) ahead(w lifecycle.Snapshot, action Action, at time.Time) (lifecycle.Rule, time.Time) {
	for step := range forecast.Upcoming(w, at, time.Time{}, s.c.Assumptions) {
		switch {
		case step.Kind == forecast.KindDormant && action == Dormancy,
			step.Kind == forecast.KindBuild && step.Rule != lifecycle.RuleNone && actionFor(step.Transition) == action:
			return step.Rule, step.At
		}
	}
	return lifecycle.RuleNone, time.Time{}
}

// due is what the rules want of a workspace at an instant. Extensions and reminders, which are no transitions, are taken as
// done.
func due(w lifecycle.Snapshot, now time.Time) lifecycle.Decision {
	const most = 4 // an extension, two reminders, and what follows
	var d lifecycle.Decision
	for range most {
		d = lifecycle.Decide(w, now)
		if _, acts := actionOf(d); acts || !d.Acts() || d.Missed {
			return d
		}
		c := lifecycle.ApplyFor(w, d, now, 0)
		w.Workspace, w.Build = c.Workspace, c.Build
	}
	return lifecycle.Decision{}
}

// actionOf is the transition that a decision makes, false for none.
func actionOf(d lifecycle.Decision) (Action, bool) {
	if d.Transition == lifecycle.TransitionNone && !d.Dormant {
		return "", false
	}
	return actionFor(d.Transition), true
}

func usedAfter(w *lifecycle.Snapshot, t time.Time) bool { return w.Workspace.LastUsedAt.After(t) }
