package lint

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/text"
)

// deletion is one that a rule makes.
type deletion struct {
	at        time.Time
	workspace uuid.UUID
	template  lifecycle.Template
}

// braked warns of deletions that the brake would make wait: it is asked about the hour with the most deletions, of all
// templates and of each, and the one in which most wait counts.
func braked(all []deletion, fleet []lifecycle.Snapshot, brake lifecycle.Brake) Warnings {
	slices.SortFunc(all, func(a, b deletion) int { return a.at.Compare(b.at) })
	ofTemplate := map[uuid.UUID][]deletion{}
	for _, d := range all {
		ofTemplate[d.template.ID] = append(ofTemplate[d.template.ID], d)
	}
	worst := worstHour(all)
	waits := waiting(worst, fleet, brake)
	for _, id := range slices.SortedFunc(maps.Keys(ofTemplate), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }) {
		hour := worstHour(ofTemplate[id])
		if n := waiting(hour, fleet, brake); n > waits || n == waits && n > 0 && hour[0].at.Before(worst[0].at) {
			worst, waits = hour, n
		}
	}
	if waits == 0 {
		return nil
	}
	t, own := mostOf(worst)
	setting, value := "Policy.TimeTilAutodelete", t.Policy.TimeTilAutodelete
	if value <= 0 || t.Policy.DeleteStopped > 0 && t.Policy.DeleteStopped < value {
		setting, value = "Policy.DeleteStopped", t.Policy.DeleteStopped
	}
	passed := max(len(worst)-waits, 1)
	return Warnings{{
		Code: Braked, Setting: setting, Value: text.Span(value), At: worst[0].at,
		Problem: fmt.Sprintf("%s due within an hour of %s, %d of them of template %s, and the brake makes %d wait",
			text.Count(len(worst), "deletion is", "deletions are"), text.Stamp(worst[0].at), own, cmp.Or(t.Name, t.ID.String()), waits),
		Cure: fmt.Sprintf("if they are meant, spread them over %s (Policy.Jitter) or release the brake; if not, make it longer",
			text.Span(time.Duration((len(worst)+passed-1)/passed)*time.Hour)),
	}}
}

// waiting asks the brake how many of the deletions of an hour wait.
func waiting(hour []deletion, fleet []lifecycle.Snapshot, brake lifecycle.Brake) int {
	counts := lifecycle.Deletions{Workspaces: len(fleet), Templates: map[uuid.UUID]lifecycle.Deletions{}}
	for i := range fleet {
		id := fleet[i].Template.ID
		counts.Templates[id] = lifecycle.Deletions{Workspaces: counts.Templates[id].Workspaces + 1}
	}
	var due []lifecycle.DueDeletion
	for _, d := range hour {
		due = append(due, lifecycle.DueDeletion{WorkspaceID: d.workspace, TemplateID: d.template.ID, DueAt: d.at})
	}
	_, waits := brake.Admit(counts, due)
	return len(waits)
}

// worstHour returns the deletions of the hour with the most of them, the first of several. They are in the order of time.
func worstHour(all []deletion) []deletion {
	var worst []deletion
	from := 0
	for i := range all {
		for !all[i].at.Before(all[from].at.Add(time.Hour)) {
			from++
		}
		if i+1-from > len(worst) {
			worst = all[from : i+1]
		}
	}
	return worst
}

// mostOf returns the template with the most of some deletions, and how many.
func mostOf(all []deletion) (lifecycle.Template, int) {
	counts := map[uuid.UUID]int{}
	best := 0
	for i := range all {
		id := all[i].template.ID
		if counts[id]++; counts[id] > counts[all[best].template.ID] {
			best = i
		}
	}
	return all[best].template, counts[all[best].template.ID]
}
