package shadow

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/text"
)

// Report says how a host's scheduler and the rules differ, as far as [Comparison] has seen. It is a plain value.
type Report struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// Workspaces counts those of whom either made a transition.
	Workspaces int `json:"workspaces"`
	// Start, Stop, Delete and Dormancy count what was compared. A stop that makes a workspace dormant is a stop.
	Start    Count `json:"start"`
	Stop     Count `json:"stop"`
	Delete   Count `json:"delete"`
	Dormancy Count `json:"dormancy"`
	// InUse counts the stops, dormancies and deletions that the rules would have made and after which somebody still worked.
	InUse int `json:"in_use"`
	// StopHours is how much longer workspaces ran because the scheduler stopped them later than the rules would have, or not
	// at all; less than zero where the rules would have stopped later. StartHours is how much longer they ran because it
	// started them sooner.
	StopHours  float64 `json:"stop_hours"`
	StartHours float64 `json:"start_hours"`
	// Differences lists what is not the same, in the order in which it was found, Omitted how many more there are.
	Differences []Difference `json:"differences,omitempty"`
	Omitted     int          `json:"omitted,omitempty"`
}

// Count counts transitions by [Verdict].
type Count struct {
	Same          int `json:"same,omitempty"`
	Sooner        int `json:"sooner,omitempty"`
	Later         int `json:"later,omitempty"`
	OnlyRules     int `json:"only_rules,omitempty"`
	OnlyScheduler int `json:"only_scheduler,omitempty"`
}

// Action is what was, or would have been, done.
type Action string

// The actions.
const (
	Start  Action = "start"
	Stop   Action = "stop"
	Delete Action = "delete"
	// Dormancy: a workspace that does not run becomes dormant.
	Dormancy Action = "dormancy"
)

// Verdict says how the two compare.
type Verdict string

// The verdicts.
const (
	// Same: both, at the same time within the tolerance.
	Same Verdict = "same"
	// Sooner and Later: the rules would have acted sooner, or later, than the scheduler did.
	Sooner Verdict = "sooner"
	Later  Verdict = "later"
	// OnlyRules: the scheduler did not act while the rules would have.
	OnlyRules Verdict = "only_rules"
	// OnlyScheduler: the rules would not have acted within four weeks.
	OnlyScheduler Verdict = "only_scheduler"
)

// Difference is one transition of one workspace.
type Difference struct {
	WorkspaceID uuid.UUID `json:"workspace_id"`
	Workspace   string    `json:"workspace,omitempty"`
	Action      Action    `json:"action"`
	Verdict     Verdict   `json:"verdict"`
	// Rule is the one that would have acted.
	Rule lifecycle.Rule `json:"rule,omitempty"`
	// Did is when the scheduler acted, Would when the rules would have; zero where one did not.
	Did   time.Time `json:"did,omitzero"`
	Would time.Time `json:"would,omitzero"`
	// Gone is when what the rules alone wanted was seen to be due no more.
	Gone time.Time `json:"gone,omitzero"`
	// InUse says that somebody worked after the rules would have stopped the workspace, put it to sleep or deleted it.
	InUse bool `json:"in_use,omitempty"`
}

// judge compares the two instants.
func (d *Difference) judge(tolerance time.Duration) {
	switch by := d.Did.Sub(d.Would); {
	case d.Would.IsZero():
		d.Verdict = OnlyScheduler
	case by.Abs() <= tolerance:
		d.Verdict = Same
	case by > 0:
		d.Verdict = Sooner
	default:
		d.Verdict = Later
	}
}

// end is until when what the rules wanted was not done.
func (d *Difference) end() time.Time {
	if d.Did.IsZero() {
		return d.Gone
	}
	return d.Did
}

func (r *Report) count(d Difference, list int) {
	n := r.counts(d.Action)
	switch d.Verdict {
	case Same:
		n.Same++
	case Sooner:
		n.Sooner++
	case Later:
		n.Later++
	case OnlyRules:
		n.OnlyRules++
	case OnlyScheduler:
		n.OnlyScheduler++
	}
	r.hours(&d)
	if d.InUse {
		r.InUse++
	}
	switch {
	case d.Verdict == Same:
	case len(r.Differences) < list:
		r.Differences = append(r.Differences, d)
	default:
		r.Omitted++
	}
}

// hours counts how much longer a workspace ran. What only the scheduler did, and what only the rules would have started, has
// no end to count to.
func (r *Report) hours(d *Difference) {
	if d.Would.IsZero() {
		return
	}
	switch {
	case d.Action == Stop:
		r.StopHours += d.end().Sub(d.Would).Hours()
	case d.Action == Start && !d.Did.IsZero():
		r.StartHours += d.Would.Sub(d.Did).Hours()
	}
}

func (r *Report) counts(a Action) *Count {
	switch a {
	case Start:
		return &r.Start
	case Stop:
		return &r.Stop
	case Delete:
		return &r.Delete
	}
	return &r.Dormancy
}

func (r Report) clone() Report {
	r.Differences = slices.Clone(r.Differences)
	return r
}

// Text is the report as a table, and the first twenty differences.
func (r Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s to %s\n", text.Count(r.Workspaces, "workspace", "workspaces"), text.Stamp(r.From.UTC()), text.Stamp(r.Until.UTC()))
	fmt.Fprintf(&b, "%-10s %8s %14s %14s %12s %16s\n", "", "same", "rules sooner", "rules later", "rules only", "scheduler only")
	for _, a := range [...]Action{Start, Stop, Delete, Dormancy} {
		n := r.counts(a)
		fmt.Fprintf(&b, "%-10s %8d %14d %14d %12d %16d\n", a, n.Same, n.Sooner, n.Later, n.OnlyRules, n.OnlyScheduler)
	}
	fmt.Fprintf(&b, "Workspaces ran %.1f h longer than with the rules' stops, and %.1f h longer than with their starts.\n", r.StopHours, r.StartHours)
	fmt.Fprintf(&b, "Somebody still worked after %d of the stops, dormancies and deletions that the rules would have made.\n", r.InUse)
	shown := min(20, len(r.Differences))
	for _, d := range r.Differences[:shown] {
		b.WriteString(d.String() + "\n")
	}
	if more := len(r.Differences) + r.Omitted - shown; more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	return b.String()
}

// String returns the difference in one line, in UTC.
func (d Difference) String() string {
	at, line := d.Would, ""
	switch d.Verdict {
	case Sooner:
		line = fmt.Sprintf("by the rules (%s), %s before the scheduler", d.Rule, text.Span(d.Did.Sub(d.Would).Round(time.Second)))
	case Later:
		at, line = d.Did, fmt.Sprintf("by the scheduler, %s before the rules (%s)", text.Span(d.Would.Sub(d.Did).Round(time.Second)), d.Rule)
	case OnlyRules:
		line = fmt.Sprintf("by the rules alone (%s), due until %s", d.Rule, text.SameDay(d.Gone.UTC(), at.UTC()))
	case OnlyScheduler:
		at, line = d.Did, "by the scheduler alone"
	default:
		at, line = d.Did, "by both"
	}
	if d.InUse {
		line += "; somebody was at work"
	}
	return fmt.Sprintf("%s  %s: %s %s", text.Stamp(at.UTC()), cmp.Or(d.Workspace, d.WorkspaceID.String()), d.Action, line)
}

func actionFor(t lifecycle.Transition) Action {
	switch t {
	case lifecycle.TransitionStart:
		return Start
	case lifecycle.TransitionStop:
		return Stop
	case lifecycle.TransitionDelete:
		return Delete
	}
	return Dormancy
}

// sortedByTime lists what waits, what waits for longest first.
func sortedByTime(pending map[uuid.UUID]Difference) []Difference {
	return slices.SortedFunc(maps.Values(pending), func(a, b Difference) int {
		return cmp.Or(a.Would.Compare(b.Would), strings.Compare(a.WorkspaceID.String(), b.WorkspaceID.String()))
	})
}
