package lint

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/text"
)

// Planned runs every workspace of a fleet from one instant up to another and counts the builds that the rules will make.
// The function that it returns says how many there are in the minute of an instant; it is for [Config.Planned].
func Planned(fleet iter.Seq[lifecycle.Snapshot], from, until time.Time, a forecast.Assumptions) func(time.Time) int {
	return loadsOf(fleet, from, until, a).at
}

// loads counts builds by minute.
type loads struct {
	minutes map[int64]int
	// deletions are those that rules make.
	deletions []deletion
}

func loadsOf(fleet iter.Seq[lifecycle.Snapshot], from, until time.Time, a forecast.Assumptions) loads {
	l := loads{minutes: map[int64]int{}}
	for s := range fleet {
		for step := range forecast.Upcoming(s, from, until, a) {
			if step.Kind == forecast.KindBuild {
				l.minutes[minuteOf(step.At)]++
			}
			if step.Rule == lifecycle.RuleAutodelete {
				l.deletions = append(l.deletions, deletion{step.At, step.WorkspaceID, step.After.Template})
			}
		}
	}
	return l
}

func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// at returns how many builds are made in the minute of an instant.
func (l loads) at(t time.Time) int { return l.minutes[minuteOf(t)] }

// worst returns the most builds in a minute.
func (l loads) worst() int {
	most := 0
	for _, n := range l.minutes {
		most = max(most, n)
	}
	return most
}

// herdAhead is how far ahead herds are looked for: schedules repeat every week.
const herdAhead = 7 * 24 * time.Hour

// herd warns of builds in minutes that are full already.
func (l *linter) herd() {
	if l.c.Capacity <= 0 || l.c.Planned == nil {
		return
	}
	var full forecast.Step
	most := 0
	var starts []time.Time
	for step := range forecast.Upcoming(l.awake(), l.now, l.now.Add(herdAhead), forecast.Assumptions{Build: l.c.Build}) {
		if step.Kind != forecast.KindBuild {
			continue
		}
		if step.Rule == lifecycle.RuleAutostart {
			starts = append(starts, step.At)
		}
		if n := l.c.Planned(step.At.Truncate(time.Minute)) + 1; n > l.c.Capacity && n > most {
			full, most = step, n
		}
	}
	if most == 0 {
		return
	}
	w := Warning{
		Code: Herd, Setting: "Policy.Jitter", Value: text.Span(l.s.Template.Policy.Jitter), At: full.At,
		Problem: fmt.Sprintf("it is one of %s in the minute of %s, and workers can begin %d", text.Count(most, "build", "builds"), text.Stamp(full.At), l.c.Capacity),
		Cure:    fmt.Sprintf("spread them over %s or more", spread(most, l.c.Capacity)),
	}
	if free, ok := l.otherMinute(starts); ok && full.Rule == lifecycle.RuleAutostart {
		w.Setting, w.Value = "Workspace.Autostart", l.s.Workspace.Autostart.String()
		w.Cure = fmt.Sprintf("start at %s, where there is room, or set Policy.Jitter to %s or more",
			free.In(l.s.Workspace.Autostart.Location()).Format("15:04"), spread(most, l.c.Capacity))
	}
	l.warn(w)
}

// spread is over how long n builds have to be spread so that no minute has more than the capacity.
func spread(n, capacity int) string {
	return text.Span(time.Duration((n+capacity-1)/capacity) * time.Minute)
}

// otherMinute returns the start nearest to the first one, within half an hour, at which all starts find room.
func (l *linter) otherMinute(starts []time.Time) (time.Time, bool) {
	for shift := time.Minute; shift <= 30*time.Minute && len(starts) > 0; shift += time.Minute {
		for _, d := range [...]time.Duration{shift, -shift} {
			room := !slices.ContainsFunc(starts, func(at time.Time) bool {
				return l.c.Planned(at.Add(d).Truncate(time.Minute))+1 > l.c.Capacity
			})
			if room {
				return starts[0].Add(d), true
			}
		}
	}
	return time.Time{}, false
}

// jitters are the spreads that are tried, in this order.
var jitters = []time.Duration{
	5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour,
}

// Fleet warns of what the workspaces do together within the week from now on.
//
// Of herds, minutes in which the rules will make more builds than c.Capacity, there is one warning for each template that
// takes part. The cure was tried: with it, no minute of the week is above capacity. Of an hour with more deletions than
// c.Brake lets through there is one. Of the configuration Build is read as well.
//
// It costs a week of [forecast.Upcoming] for each workspace, and where
// there is a herd up to nine.
func Fleet(fleet []lifecycle.Snapshot, now time.Time, c Config) Warnings {
	a := forecast.Assumptions{Build: c.Build}
	loads := loadsOf(slices.Values(fleet), now, now.Add(herdAhead), a)
	all := braked(loads.deletions, fleet, c.Brake)
	if c.Capacity <= 0 || loads.worst() <= c.Capacity {
		return all
	}
	over := crowded(fleet, now, a, func(at time.Time) bool { return loads.at(at) > c.Capacity })
	cure := tried(fleet, now, a, c.Capacity, over)
	for _, t := range over {
		all = append(all, Warning{
			Code: Herd, Setting: "Policy.Jitter", Value: text.Span(t.template.Policy.Jitter), At: t.at, Cure: cure,
			Problem: fmt.Sprintf("template %s: %s due in the minute of %s, %d in all, and workers can begin %d",
				cmp.Or(t.template.Name, t.template.ID.String()), text.Count(t.most, "of its builds is", "of its builds are"), text.Stamp(t.at), loads.at(t.at), c.Capacity),
		})
	}
	return all
}

// crowd is a template's worst minute.
type crowd struct {
	template lifecycle.Template
	at       time.Time
	most     int
}

// crowded returns the templates that have builds in minutes that are full, the largest crowd first.
func crowded(fleet []lifecycle.Snapshot, now time.Time, a forecast.Assumptions, full func(time.Time) bool) []crowd {
	byTemplate := map[uuid.UUID][]lifecycle.Snapshot{}
	for _, s := range fleet {
		byTemplate[s.Template.ID] = append(byTemplate[s.Template.ID], s)
	}
	var all []crowd
	for _, members := range byTemplate {
		t := crowd{template: members[0].Template}
		own := loadsOf(slices.Values(members), now, now.Add(herdAhead), a)
		for m, n := range own.minutes {
			at := time.Unix(m*60, 0).UTC()
			if full(at) && (n > t.most || n == t.most && at.Before(t.at)) {
				t.at, t.most = at, n
			}
		}
		if t.most > 0 {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b crowd) int {
		return cmp.Or(b.most-a.most, a.at.Compare(b.at), cmp.Compare(a.template.ID.String(), b.template.ID.String()))
	})
	return all
}

// tried returns the smallest spread of the crowded templates that keeps every minute of the week within capacity.
func tried(fleet []lifecycle.Snapshot, now time.Time, a forecast.Assumptions, capacity int, over []crowd) string {
	best := 0
	for _, jitter := range jitters {
		most := loadsOf(jittered(fleet, over, jitter), now, now.Add(herdAhead), a).worst()
		if most <= capacity {
			return fmt.Sprintf("set it to %s: then no minute has more than %s", text.Span(jitter), text.Count(most, "build", "builds"))
		}
		if best == 0 || most < best {
			best = most
		}
	}
	return fmt.Sprintf("no spread up to %s is enough: make room for %s a minute, or move schedules to other hours",
		text.Span(jitters[len(jitters)-1]), text.Count(best, "build", "builds"))
}

// jittered is the fleet with at least a jitter in the policies of some templates.
func jittered(fleet []lifecycle.Snapshot, over []crowd, jitter time.Duration) iter.Seq[lifecycle.Snapshot] {
	return func(yield func(lifecycle.Snapshot) bool) {
		for _, s := range fleet {
			if slices.ContainsFunc(over, func(c crowd) bool { return c.template.ID == s.Template.ID }) {
				s.Template.Policy.Jitter = max(s.Template.Policy.Jitter, jitter)
			}
			if !yield(s) {
				return
			}
		}
	}
}
