package lint

import (
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/text"
)

// deletion warns of deletions that come too soon after the notice of dormancy, and of those that never come.
func (l *linter) deletion() {
	p := &l.s.Template.Policy
	if p.TimeTilAutodelete <= 0 {
		return
	}
	w := Warning{Setting: "Policy.TimeTilAutodelete", Value: text.Span(p.TimeTilAutodelete)}
	if p.TimeTilDormant <= 0 && !p.DormantWhenSuspended {
		w.Code, w.Problem = NeverFires, "only dormant workspaces are deleted, and none goes dormant by itself"
		w.Cure = "set Policy.TimeTilDormant, or leave deletion off"
		l.warn(w)
		return
	}
	s := l.s
	s.Workspace.Autostart = nil
	s.Template.Policy.DeleteStopped, s.Template.Policy.DeleteAtDeadline = 0, false // they have warnings of their own
	until := l.now.Add(p.TimeTilDormant + p.TimeTilAutodelete + p.Jitter + 2*reading)
	var told time.Time
	for step := range forecast.Upcoming(s, l.now, until, forecast.Assumptions{Build: l.c.Build}) {
		switch {
		case step.Rule == lifecycle.RuleDormancy:
			told = step.At
		case step.Transition == lifecycle.TransitionDelete && step.At.Sub(told) < reading:
			w.Code, w.At = DeletesUntold, step.At
			w.Problem = fmt.Sprintf("it is deleted %s after its owner is told, who may not have read it yet", text.Span(step.At.Sub(told)))
			w.Cure = fmt.Sprintf("leave at least %s, better some days: people are away on weekends", text.Span(reading))
			l.warn(w)
			return
		}
	}
}

// deletesStopped warns of the deletion of stopped workspaces where it comes too soon after the notice, which goes out when
// they stop and again a day before.
func (l *linter) deletesStopped() {
	p := &l.s.Template.Policy
	if p.DeleteStopped <= 0 || p.DeleteStopped >= reading {
		return
	}
	l.warn(Warning{
		Code: DeletesUntold, Setting: "Policy.DeleteStopped", Value: text.Span(p.DeleteStopped),
		Problem: fmt.Sprintf("it is deleted %s after it is stopped, and its owner may not have read the notice yet", text.Span(p.DeleteStopped)),
		Cure:    fmt.Sprintf("leave at least %s, better some days: people are away on weekends", text.Span(reading)),
	})
}

// deletesAtDeadline warns of workspaces to throw away that have no deadline, and of those whose owner is not told of it.
func (l *linter) deletesAtDeadline() {
	p := &l.s.Template.Policy
	if !p.DeleteAtDeadline {
		return
	}
	w := Warning{Setting: "Policy.DeleteAtDeadline", Value: "true"}
	switch up := l.up(l.s); {
	case up.Build.Deadline.IsZero():
		w.Code, w.Problem = NeverFires, "runs have no deadline, so none is deleted at it"
		w.Cure = "set Policy.DefaultTTL or Policy.MaxRuntime, or leave it off"
	case p.ReminderLead <= 0:
		w.Code, w.Problem = DeletesUntold, "it is deleted as soon as it has stopped at its deadline, and its owner is not told before"
		w.Cure = "set Policy.ReminderLead, so that its owner is reminded of the stop"
	default:
		return
	}
	l.warn(w)
}

// pauses warns of what happens between two of the schedule's starts though somebody works in each run.
func (l *linter) pauses() {
	first, ok := l.lost(l.s)
	if !ok {
		return
	}
	p := &l.s.Template.Policy
	w := Warning{Code: DeletesBeforeStart, At: first.At, Cure: "make it longer than the longest time between two runs, or leave the schedule out"}
	switch {
	case first.Kind == forecast.KindDormant || first.Rule == lifecycle.RuleDormancy:
		w.Code, w.Setting, w.Value = DormantBeforeStart, "Policy.TimeTilDormant", text.Span(p.TimeTilDormant)
		w.Problem = fmt.Sprintf("it goes dormant %s after it was used, before its schedule starts it again, and the schedule starts no dormant workspace",
			text.Span(p.TimeTilDormant))
	case p.DeleteAtDeadline:
		w.Setting, w.Value = "Policy.DeleteAtDeadline", "true"
		w.Problem, w.Cure = "it is deleted after its first run, so its schedule starts it only once", "leave it off, or leave the schedule out"
	default:
		w.Setting, w.Value = "Policy.DeleteStopped", text.Span(p.DeleteStopped)
		w.Problem = fmt.Sprintf("it is deleted %s after it is stopped, before its schedule starts it again", text.Span(p.DeleteStopped))
	}
	l.warn(w)
}

// lost returns the first dormancy or deletion in four weeks in which somebody works for an hour after each start.
func (l *linter) lost(s lifecycle.Snapshot) (forecast.Step, bool) {
	c := s.Workspace.Autostart
	if c == nil || c.Err() != nil {
		return forecast.Step{}, false
	}
	var work []forecast.Session
	until := l.now.AddDate(0, 0, 28)
	for at := range c.Occurrences(l.now, until) {
		if next, ok := c.NextAllowed(at.Add(-1), s.Template.Policy.AutostartDays); ok && next.Equal(at) {
			work = append(work, forecast.Session{Begin: at.UTC(), End: at.Add(time.Hour).UTC()})
		}
		if len(work) > maxLintSteps {
			return forecast.Step{}, false // too often to be without work for long
		}
	}
	work = joined(work)
	if len(work) < 2 || !l.starts(l.awake()) {
		return forecast.Step{}, false
	}
	// Before the first start, and after the last one, it may well be away.
	s.Workspace.LastUsedAt = work[0].Begin.Add(-time.Minute)
	a := forecast.Assumptions{Build: l.c.Build, Work: forecast.Recorded(work)}
	for step := range forecast.Upcoming(s, work[0].Begin.Add(-time.Minute), work[len(work)-1].Begin, a) {
		if step.Kind == forecast.KindDormant || step.Rule == lifecycle.RuleDormancy || step.Transition == lifecycle.TransitionDelete {
			return step, true
		}
	}
	return forecast.Step{}, false
}

// joined makes one session of those that touch.
func joined(all []forecast.Session) []forecast.Session {
	kept := all[:0]
	for _, s := range all {
		if n := len(kept); n > 0 && !s.Begin.After(kept[n-1].End) {
			kept[n-1].End = s.End
			continue
		}
		kept = append(kept, s)
	}
	return kept
}
