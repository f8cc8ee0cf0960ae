package lint

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/text"
	"github.com/dormouse-go/dormouse/schedule"
)

// Change returns the warnings of a workspace as a verb has left it that it did not deserve before: whoever changes one
// setting is told of that one.
func Change(before, after lifecycle.Snapshot, now time.Time, c Config) Warnings {
	all := added(Workspace(before, now, c), Workspace(after, now, c))
	for _, h := range [...]struct {
		setting  string
		old, new lifecycle.Hold
	}{
		{"Workspace.Hold", before.Workspace.Hold, after.Workspace.Hold},
		{"Template.Hold", before.Template.Hold, after.Template.Hold},
		{"Engine.Hold", before.Engine.Hold, after.Engine.Hold},
	} {
		if h.old != h.new && !h.new.Until.IsZero() && !h.new.Until.After(now) {
			all = append(all, Warning{
				Code: NeverFires, Setting: h.setting, Value: h.new.Until.UTC().Format(time.RFC3339), At: h.new.Until,
				Problem: "it ended before it was set, so it holds nothing", Cure: "choose an end that is to come",
			})
		}
	}
	return all
}

// added returns the warnings that are new, by code and setting.
func added(before, after Warnings) Warnings {
	return slices.DeleteFunc(after, func(w Warning) bool {
		return slices.ContainsFunc(before, func(b Warning) bool { return b.Code == w.Code && b.Setting == w.Setting })
	})
}

// PlanWarning is what a policy plan adds to the workspaces of a template.
type PlanWarning struct {
	// Warning is that of the first of the workspaces. Texts and instants differ from one workspace to the next.
	Warning
	// Workspaces is how many deserve it, First the name of the first one; 0 and empty if the policy itself does, whatever
	// the workspace.
	Workspaces int    `json:"workspaces"`
	First      string `json:"first,omitempty"`
}

// String returns the warning in one line.
func (w PlanWarning) String() string {
	if w.Workspaces == 0 {
		return w.Warning.String()
	}
	return fmt.Sprintf("%s (%s first): %s", text.Count(w.Workspaces, "workspace", "workspaces"), w.First, w.Warning)
}

// PlanWarnings are in the order of how many workspaces deserve them.
type PlanWarnings []PlanWarning

// Text is one line for each.
func (all PlanWarnings) Text() string {
	var b strings.Builder
	for _, w := range all {
		b.WriteString(w.String() + "\n")
	}
	return b.String()
}

// Plan returns what a policy plan would add: the warnings that the new policy deserves in itself, and those of the
// template's workspaces that they do not deserve under the present one. The fleet is read once.
func Plan(p lifecycle.PolicyPlan, fleet iter.Seq[lifecycle.Snapshot], c Config) PlanWarnings {
	at := p.Change.At
	type key struct {
		code    Code
		setting string
	}
	found := map[key]*PlanWarning{}
	of := func(w Warning) *PlanWarning {
		k := key{w.Code, w.Setting}
		if found[k] == nil {
			found[k] = &PlanWarning{Warning: w}
		}
		return found[k]
	}
	before, after := unborn(p.Change.Template, at), unborn(p.Change.Template, at)
	after.Template.Policy = p.Change.Policy
	for _, w := range Change(before, after, at, c) {
		of(w)
	}
	for s := range fleet {
		next := s
		next.Template = p.Change.Template
		next.Template.Policy = p.Change.Policy
		for _, w := range Change(s, next, at, c) {
			n := of(w)
			if n.Workspaces++; n.Workspaces == 1 {
				n.Warning, n.First = w, text.Name(&s)
			}
		}
	}
	var all PlanWarnings
	for _, w := range found {
		all = append(all, *w)
	}
	slices.SortFunc(all, func(a, b PlanWarning) int {
		return cmp.Or(b.Workspaces-a.Workspaces, cmp.Compare(a.Code, b.Code), cmp.Compare(a.Setting, b.Setting))
	})
	return all
}

// Template returns what a template's policy has in it that is probably not meant, for a workspace without settings of its own.
func Template(t lifecycle.Template, now time.Time, c Config) Warnings {
	return Workspace(unborn(t, now), now, c)
}

// unborn is a workspace of a template as it would be made, for somebody who has quiet hours.
func unborn(t lifecycle.Template, now time.Time) lifecycle.Snapshot {
	quiet, _ := schedule.Daily("0 3 * * *")
	return lifecycle.Snapshot{
		Workspace: lifecycle.NewWorkspace(uuid.Nil, t, uuid.Nil, "", now), Owner: lifecycle.Owner{QuietHours: quiet}, Template: t,
	}
}
