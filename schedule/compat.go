package schedule

import "time"

const (
	// Two days on either side of a change of offset cover all that the library
	// looks at: the midnights around a day, and local times taken for UTC.
	nearChange = 2 * secondsPerDay

	// dayGap is the size of a gap, in seconds, from which the library may step
	// from a day to the same day without end.
	dayGap = 11 * 60 * 60

	// A line fires at least every week, or every other where a gap leaves it out.
	farthest = 15 * secondsPerDay
)

// nextCompat returns what robfig/cron's own Next returns, for several lines the
// first of its answers.
//
// Away from changes of the offset the library fires whenever the zone's clock
// shows a due minute, which is cheap to find. Near them its answers depend on
// how it walks (it misses minutes after a shift of half an hour, for one), so there it is asked itself,
// except where it would not return: around a date that the zone left out.
func (c *Cron) nextCompat(t time.Time) time.Time {
	sec := t.Unix()
	fire := c.next(sec)
	if c.zone.plain(sec, fire) {
		return c.at(fire)
	}
	first := c.lineCompat(&c.lines[0], t)
	for i := range c.lines[1:] {
		if next := c.lineCompat(&c.lines[i+1], t); next.Before(first) {
			first = next
		}
	}
	return first
}

func (c *Cron) lineCompat(l *line, t time.Time) time.Time {
	sec := t.Unix()
	if c.zone.endless(l, sec, sec+farthest) { // hardly ever: the line's own fire costs more to find
		if fire := c.nextOf(l, sec); c.zone.endless(l, sec, fire) {
			return c.at(fire)
		}
	}
	return l.fields.Next(t.In(c.zone.loc))
}

// nextOf is [Cron.next] of one line alone.
func (c *Cron) nextOf(l *line, sec int64) int64 {
	if len(c.lines) == 1 {
		return c.next(sec)
	}
	p := part{reading: l.reading(c.dst)}
	p.week.add(l)
	return p.next(c.zone, sec)
}

// plain reports whether the offset is one of whole minutes and the same from well before sec to well after fire.
func (z *zone) plain(sec, fire int64) bool {
	s := z.span(sec)
	return s.offset%60 == 0 && sec-nearChange >= s.start && fire+nearChange < s.end
}

// endless reports whether the library, stepping from day to day between sec and
// fire, may meet a date that does not exist.
func (z *zone) endless(l *line, sec, fire int64) bool {
	if l.days() == AllDays {
		return false // it steps by hours only
	}
	s := z.span(sec - nearChange)
	for s.end <= fire+nearChange {
		after := z.span(s.end)
		if after.offset-s.offset >= dayGap {
			return true
		}
		s = after
	}
	return false
}
