package lint

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/text"
)

// deletion is one that a rule makes.
type deletion struct {
	at       time.Time
	template lifecycle.Template
}

// braked warns of the hour with the most deletions if the brake lets fewer through. See [lifecycle.Brake].
func braked(all []deletion, most int) Warnings {
	slices.SortFunc(all, func(a, b deletion) int { return a.at.Compare(b.at) })
	first, n := worstHour(all)
	if n <= most {
		return nil
	}
	t, own := mostOf(all[first : first+n])
	setting, value := "Policy.TimeTilAutodelete", t.Policy.TimeTilAutodelete
	if value <= 0 || t.Policy.DeleteStopped > 0 && t.Policy.DeleteStopped < value {
		setting, value = "Policy.DeleteStopped", t.Policy.DeleteStopped
	}
	return Warnings{{
		Code: Braked, Setting: setting, Value: text.Span(value), At: all[first].at,
		Problem: fmt.Sprintf("%d deletions are due within an hour of %s, %d of them of template %s, and the brake lets %d through in an hour",
			n, text.Stamp(all[first].at), own, cmp.Or(t.Name, t.ID.String()), most),
		Cure: fmt.Sprintf("if they are meant, spread them over %s (Policy.Jitter) or release the brake; if not, make it longer",
			text.Span(time.Duration((n+most-1)/most)*time.Hour)),
	}}
}

// worstHour returns where the hour with the most deletions begins, and how many it has.
func worstHour(all []deletion) (first, n int) {
	from := 0
	for i := range all {
		for !all[i].at.Before(all[from].at.Add(time.Hour)) {
			from++
		}
		if i+1-from > n {
			first, n = from, i+1-from
		}
	}
	return first, n
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
