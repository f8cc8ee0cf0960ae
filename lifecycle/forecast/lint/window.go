package lint

import (
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/text"
	"github.com/dormouse-go/dormouse/schedule"
)

// maxLintSteps bounds what is run to look for a short window: months of a usual schedule.
const maxLintSteps = 2000

// run is what happens to a workspace that nobody uses.
func (l *linter) run(s lifecycle.Snapshot) iter.Seq[forecast.Step] {
	return func(yield func(forecast.Step) bool) {
		n := 0
		for step := range forecast.Upcoming(s, l.now, l.now.AddDate(0, 0, 7*(schedule.MaxRequirementWeeks+1)), forecast.Assumptions{Build: l.c.Build}) {
			if n++; n > maxLintSteps || !yield(step) {
				return
			}
		}
	}
}

// startedByHand is a workspace at rest whose start was asked for.
func startedByHand(s lifecycle.Snapshot, now time.Time) lifecycle.Snapshot {
	c, err := lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)(s, now)
	if err != nil {
		return s
	}
	s.Workspace, s.Build = c.Workspace, c.Build
	return s
}

// window is how long a workspace runs between its start and its stop.
type window struct {
	at         time.Time
	runs, took time.Duration
	bySchedule bool
}

// short reports whether nobody can mean a window.
func (w window) short() bool { return w.runs < w.took || w.bySchedule && w.runs < rightAfter }

// shortest returns the first window that nobody can mean: of the autostarts, or of a start by hand.
func (l *linter) shortest(s lifecycle.Snapshot) (window, bool) {
	if w, ok := firstShort(l.run(s)); ok {
		return w, true
	}
	s.Workspace.Autostart = nil
	return firstShort(l.run(startedByHand(s, l.now)))
}

func firstShort(steps iter.Seq[forecast.Step]) (window, bool) {
	var w window
	var up time.Time
	for step := range steps {
		switch {
		case step.Kind == forecast.KindEnded && step.Transition == lifecycle.TransitionStart && step.Status == lifecycle.JobSucceeded:
			b := &step.After.Build
			up = step.At
			w = window{at: b.CreatedAt, took: b.CompletedAt.Sub(b.CreatedAt), bySchedule: step.Reason == lifecycle.ReasonAutostart}
		case step.Kind == forecast.KindBuild && step.Transition == lifecycle.TransitionStop && !up.IsZero():
			if w.runs = step.At.Sub(up); w.short() {
				return w, true
			}
		}
	}
	return window{}, false
}

var windowCures = []cure{
	{
		setting: "Workspace.TTL", advice: "make it longer than the start takes and somebody needs, such as 8h",
		value: func(s *lifecycle.Snapshot) string { return text.Span(s.Workspace.TTL) },
		apply: func(s *lifecycle.Snapshot) { s.Workspace.TTL = 8 * time.Hour },
	},
	{
		setting: "Policy.DefaultTTL", advice: "make it longer than the start takes and somebody needs, such as 8h",
		value: func(s *lifecycle.Snapshot) string { return text.Span(s.Template.Policy.DefaultTTL) },
		apply: func(s *lifecycle.Snapshot) { s.Template.Policy.DefaultTTL = 8 * time.Hour },
	},
	{
		setting: "Workspace.Autostop", advice: "let it stop later after it starts",
		value: func(s *lifecycle.Snapshot) string { return s.Workspace.Autostop.String() },
		apply: func(s *lifecycle.Snapshot) { s.Workspace.Autostop = nil },
	},
	{
		setting: "Policy.MaxRuntime", advice: "make it longer than the start takes and somebody needs, such as 10h",
		value: func(s *lifecycle.Snapshot) string { return text.Span(s.Template.Policy.MaxRuntime) },
		apply: func(s *lifecycle.Snapshot) { s.Template.Policy.MaxRuntime = 0 },
	},
	{
		setting: "Owner.QuietHours", advice: "choose quiet hours further from the start, or start later",
		value: func(s *lifecycle.Snapshot) string { return s.Owner.QuietHours.String() },
		apply: func(s *lifecycle.Snapshot) { s.Owner.QuietHours = nil },
	},
}

// window warns of runs that end as soon as they begin, and names the setting that, changed, cures it.
func (l *linter) window() {
	w, ok := l.shortest(l.awake())
	if !ok {
		return
	}
	l.short = true
	code, how := StopsAfterStart, "right after its autostart"
	if w.runs < w.took {
		code, how = ShorterThanBuild, fmt.Sprintf("sooner than its start takes (%s)", text.Span(w.took))
	}
	for _, c := range windowCures {
		s := l.awake()
		c.apply(&s)
		if _, still := l.shortest(s); !still {
			l.warn(Warning{
				Code: code, Setting: c.setting, Value: c.value(&l.s), At: w.at, Cure: c.advice,
				Problem: fmt.Sprintf("the workspace stops %s after it is up, %s", text.Span(w.runs), how),
			})
			return
		}
	}
	l.warn(Warning{
		Code: code, Setting: "Workspace.Autostart", Value: l.s.Workspace.Autostart.String(), At: w.at,
		Problem: fmt.Sprintf("the workspace stops %s after it is up, %s", text.Span(w.runs), how), Cure: "choose another time, and let it run longer",
	})
}
