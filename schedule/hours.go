package schedule

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// maxSpans is how many spans may begin on one day: the two schedules stay within the lines that a schedule may have.
const maxSpans = 4

// Hours are working hours: the stretches of a week in which a workspace should
// run, in one zone. They are immutable and safe for concurrent use. The zero value
// has none: it covers nothing, its schedules are nil and its text is "".
type Hours struct {
	spans       []hours // in order, neither touching nor overlapping
	start, stop *Cron
}

// hours are minutes of a week that begins on Monday 00:00: from start, which is in
// the week, to end, which may lie up to a week later.
type hours struct{ start, end int }

func newHours(z *zone, dst DST, spans []hours) (Hours, error) {
	starts, stops := make([]int, len(spans)), make([]int, len(spans))
	for i, s := range spans {
		starts[i], stops[i] = s.start, s.end%minutesPerWeek
	}
	sort.Ints(stops)
	start, err := cronOf(z, dst, starts)
	if err != nil {
		return Hours{}, err
	}
	stop, err := cronOf(z, dst, stops)
	return Hours{spans, start, stop}, err
}

// cronOf writes minutes of the week as a schedule: a line for each time of day.
func cronOf(z *zone, dst DST, minutes []int) (*Cron, error) {
	var order []int
	days := map[int]Days{}
	for _, m := range minutes {
		at := m % minutesPerDay
		if days[at] == 0 {
			order = append(order, at)
		}
		days[at] |= 1 << (m / minutesPerDay)
	}
	lines := make([]string, len(order))
	for i, at := range order {
		lines[i] = strconv.Itoa(at%minutesPerHour) + " " + strconv.Itoa(at/minutesPerHour) + " * * " + days[at].cron()
	}
	text := zonePrefix + z.loc.String() + " " + strings.Join(lines, "; ")
	return parse(weekly, text, Options{DST: dst}, func(*time.Location) *zone { return z })
}

// cron writes a set of weekdays as a field, Sunday as 7.
func (d Days) cron() string {
	if d == AllDays {
		return "*"
	}
	return d.list(func(day int) string { return strconv.Itoa(day + 1) })
}

// HoursOf returns the working hours whose schedules fire as start and stop do, and
// whether there are any: both fire, in one zone and by one policy, in turns, and at
// most four times on a day.
func HoursOf(start, stop *Cron) (Hours, bool) {
	if !start.fires() || !stop.fires() || start.dst != stop.dst || start.zone.loc.String() != stop.zone.loc.String() {
		return Hours{}, false
	}
	begins, ends := start.minutesOfWeek(), stop.minutesOfWeek()
	if begins == nil || len(begins) != len(ends) {
		return Hours{}, false
	}
	if ends[0] <= begins[0] { // the end of the week's last span
		ends = append(ends[1:], ends[0]+minutesPerWeek)
	}
	spans := make([]hours, len(begins))
	for i := range begins {
		spans[i] = hours{begins[i], ends[i]}
	}
	if !apart(spans) {
		return Hours{}, false
	}
	h, err := newHours(start.zone, start.dst, spans)
	return h, err == nil
}

// apart reports whether spans in the order of their starts have a length, and something between them.
func apart(spans []hours) bool {
	for i, s := range spans {
		next := spans[(i+1)%len(spans)].start
		if i+1 == len(spans) {
			next += minutesPerWeek
		}
		if s.end <= s.start || s.end >= next {
			return false
		}
	}
	return true
}

// minutesOfWeek returns when the schedule is due, from Monday on, or nil if that is
// too often for working hours.
func (c *Cron) minutesOfWeek() []int {
	var list []int
	for d := range 7 {
		var today []int
		for i := range c.lines {
			if l := &c.lines[i]; l.days()>>d&1 != 0 {
				today = append(today, l.minutesOfDay(maxSpans+1)...)
			}
		}
		slices.Sort(today)
		today = slices.Compact(today)
		if len(today) > maxSpans {
			return nil
		}
		for _, m := range today {
			list = append(list, d*minutesPerDay+m)
		}
	}
	return list
}

// Autostart returns the schedule that fires when a stretch of hours begins, and
// nil for the zero value. Together with [Hours.Autostop] it is all that has to be
// stored: [HoursOf] gives the hours back.
func (h Hours) Autostart() *Cron { return h.start }

// Autostop returns the schedule that fires when a stretch of hours ends, and nil
// for the zero value. Each autostart is followed by its autostop before the next
// one. There is one exception: with [DSTOnce], hours of which a gap of the clock
// leaves nothing begin and end in one instant, the end of the gap, and Covers is
// false there.
func (h Hours) Autostop() *Cron { return h.stop }

// Location returns the zone of the hours, UTC for the zero value.
func (h Hours) Location() *time.Location { return h.start.Location() }

// IsZero reports whether there are no hours.
func (h Hours) IsZero() bool { return len(h.spans) == 0 }

// Covers reports whether t lies in the hours, the instant at which they begin
// included, the one at which they end not. Near a change of the clock they begin
// and end when [DSTOnce] says so; with [DSTCompat] the time that the clock shows
// decides, also where a skipped start does not fire. Constant time; false outside the
// years 1 to 9999.
func (h Hours) Covers(t time.Time) bool {
	sec := t.Unix()
	if h.IsZero() || !withinLimit(sec) {
		return false
	}
	s := h.start.zone.span(sec)
	minute := floorDiv(sec+s.offset, 60)
	if h.start.due.reading == once { // what the clock has passed does not come again
		minute = max(minute+1, s.first[once]) - 1
	}
	// 1970-01-01 was a Thursday.
	return h.cover(int(floorMod(minute+3*minutesPerDay, minutesPerWeek)))
}

func (h Hours) cover(minute int) bool {
	i := sort.Search(len(h.spans), func(i int) bool { return h.spans[i].start > minute })
	if i > 0 && minute < h.spans[i-1].end {
		return true
	}
	return minute+minutesPerWeek < h.spans[len(h.spans)-1].end
}
