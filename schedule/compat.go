package schedule

import "time"

const (
	// Two days on either side of a change of offset cover all that the library
	// looks at: the midnights around a day, and local times taken for UTC.
	nearChange = 2 * secondsPerDay

	// dayGap is the size of a gap, in seconds, from which the library may step
	// from a day to the same day without end.
	dayGap = 11 * 60 * 60
)

// nextCompat returns what robfig/cron's own Next returns.
//
// Away from changes of the offset the library fires whenever the zone's clock
// shows a due minute, which is cheap to find. Near them its answers depend on
// how it walks (it misses minutes after a shift of half an hour, for one), so there it is asked itself,
// except where it would not return: around a date that the zone left out.
func (c *Cron) nextCompat(t time.Time) time.Time {
	sec := t.Unix()
	fire := c.next(sec)
	if c.plain(sec, fire) || c.endless(sec, fire) {
		return c.at(fire)
	}
	return c.compat.Next(t.In(c.zone.loc))
}

// plain reports whether the offset is one of whole minutes and the same from well before sec to well after fire.
func (c *Cron) plain(sec, fire int64) bool {
	s := c.zone.span(sec)
	return s.offset%60 == 0 && sec-nearChange >= s.start && fire+nearChange < s.end
}

// endless reports whether the library, stepping from day to day between sec and
// fire, may meet a date that does not exist.
func (c *Cron) endless(sec, fire int64) bool {
	if c.daily {
		return false // it steps by hours only
	}
	s := c.zone.span(sec - nearChange)
	for s.end <= fire+nearChange {
		after := c.zone.span(s.end)
		if after.offset-s.offset >= dayGap {
			return true
		}
		s = after
	}
	return false
}
