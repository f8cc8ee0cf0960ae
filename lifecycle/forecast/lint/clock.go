package lint

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/schedule"
)

// clock warns of starts that a clock change moves, leaves out or repeats, and of stops that it leaves out.
func (l *linter) clock() {
	l.clockOf("Workspace.Autostart", l.s.Workspace.Autostart, func(Warning) bool { return true })
	l.clockOf("Workspace.Autostop", l.s.Workspace.Autostop, func(w Warning) bool {
		return w.Code == ClockGap && strings.Contains(w.Problem, leftOut) // an hour later, or twice, hurts nobody
	})
}

func (l *linter) clockOf(setting string, c *schedule.Cron, matters func(Warning) bool) {
	if c == nil || c.Err() != nil {
		return
	}
	for spec := range strings.SplitSeq(c.Spec(), ";") {
		wall, err := schedule.Weekly(spec)
		if err != nil || everyHour(wall) {
			continue
		}
		if w, found := l.clockChange(c, wall); found && matters(w) { // one change says it all
			w.Setting, w.Value = setting, c.String()
			l.warn(w)
			return
		}
	}
}

// clockChange looks for a change that concerns one line of a schedule, which is read as if the clock on the wall were UTC.
func (l *linter) clockChange(c, wall *schedule.Cron) (Warning, bool) {
	for at := range changes(c.Location(), l.now, l.now.Add(ahead)) {
		before, after := offsetAt(at.Add(-time.Second), c.Location()), offsetAt(at, c.Location())
		w, found := clockGap(c, wall, at, onWall(at, before), onWall(at, after))
		if before > after {
			w, found = clockRepeat(c, wall, at, onWall(at, after), onWall(at, before))
		}
		if found {
			w.At = at
			return w, true
		}
	}
	return Warning{}, false
}

// everyHour reports whether a schedule is an interval rather than a time of day; such a one follows the clock as it runs.
func everyHour(c *schedule.Cron) bool { return strings.Fields(c.Spec())[1] == "*" }

const leftOut = "is left out"

// clockGap tells of a time that the clock never shows, between two readings of it.
func clockGap(c, wall *schedule.Cron, at, from, to time.Time) (Warning, bool) {
	lost := wall.Next(from.Add(-1))
	if !lost.Before(to) {
		return Warning{}, false
	}
	what := fmt.Sprintf("fires at %s instead", at.In(c.Location()).Format("15:04"))
	if next := c.Next(at.Add(-1)); !next.Equal(at) {
		what = leftOut
	}
	return Warning{
		Code: ClockGap,
		Problem: fmt.Sprintf("on %s the clock goes from %s to %s, so %s does not exist and %s",
			from.Format(time.DateOnly), from.Format("15:04"), to.Format("15:04"), lost.Format("15:04"), what),
		Cure: "choose a time outside the hours in which clocks are changed, such as " + to.Add(time.Hour).Format("15:04"),
	}, true
}

// clockRepeat tells of a time that the clock shows twice, if it fires twice: one of those from one reading up to another.
func clockRepeat(c, wall *schedule.Cron, at, from, to time.Time) (Warning, bool) {
	twice := wall.Next(from.Add(-1))
	if !twice.Before(to) {
		return Warning{}, false
	}
	first, second := at.Add(twice.Sub(to)), at.Add(twice.Sub(from))
	if !c.Next(first.Add(-1)).Equal(first) || !c.Next(second.Add(-1)).Equal(second) {
		return Warning{}, false
	}
	return Warning{
		Code:    ClockRepeat,
		Problem: fmt.Sprintf("on %s the clock shows %s twice, so it fires twice", to.Format(time.DateOnly), twice.Format("15:04")),
		Cure:    "choose a time outside the hours in which clocks are changed, or parse with schedule.DSTOnce",
	}, true
}

// changes yields the instants at which a zone changes its offset.
func changes(loc *time.Location, from, to time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for at := from; ; {
			_, end := at.In(loc).ZoneBounds()
			if end.IsZero() || !end.Before(to) || !yield(end.UTC()) {
				return
			}
			at = end
		}
	}
}

func offsetAt(t time.Time, loc *time.Location) time.Duration {
	_, seconds := t.In(loc).Zone()
	return time.Duration(seconds) * time.Second
}

// onWall is what a clock with an offset shows, as if it were UTC.
func onWall(t time.Time, offset time.Duration) time.Time { return t.UTC().Add(offset) }
