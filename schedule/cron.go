package schedule

import (
	"iter"
	"strings"
	"time"
)

// Cron is a parsed schedule. It is immutable and safe for concurrent use.
//
// A nil *Cron and the zero value are "no schedule": they never fire, and have
// neither text nor error.
type Cron struct {
	text string // as submitted
	err  error  // why text is unusable

	zone   *zone // nil: never fires
	dst    DST
	lines  []line
	due    part
	others *part // of the other reading, if the lines differ in it
}

// part is all that is due by one reading. The lines that share a reading fire as
// one, so a schedule has no more than two parts.
type part struct {
	week    week
	reading reading
}

// Weekly parses an autostart schedule: five cron fields after an optional
// CRON_TZ=<zone>, UTC without it. Day-of-month and month must be a literal "*".
//
// Several lines, or schedules separated by ";", are one schedule that fires at each
// of them, up to 32. They have one zone, which is named before the first, also
// on a line of its own; a later line may repeat it.
//
// Lists, ranges, steps, names of weekdays in any case, and "?" have the meaning
// that robfig/cron gives them. Weekday 7 is Sunday, and ranges of weekdays may go
// past it ("Fri-Mon", "6-1"), as [ParseDays] reads them. Other reversed ranges,
// seconds, descriptors such as @daily, the prefix TZ= and the host's zone "Local"
// are refused with an [*invalid.Error].
//
// Zones come from the host's time zone database. A program that may run on a
// host without one imports time/tzdata.
func Weekly(spec string) (*Cron, error) { return parse(weekly, spec, Options{}, nil) }

// Daily parses a quiet-hours schedule: like [Weekly], one line, day-of-week "*"
// too, minute and hour single values.
func Daily(spec string) (*Cron, error) { return parse(daily, spec, Options{}, nil) }

// WeeklyWith is [Weekly] with options.
func WeeklyWith(spec string, o Options) (*Cron, error) { return parse(weekly, spec, o, nil) }

// DailyWith is [Daily] with options.
func DailyWith(spec string, o Options) (*Cron, error) { return parse(daily, spec, o, nil) }

func newCron(text string, lines []line, z *zone, o Options) *Cron {
	c := &Cron{text: text, zone: z, dst: o.DST, lines: lines}
	c.due.reading = lines[0].reading(o.DST)
	for i := range lines {
		l, to := &lines[i], &c.due
		if r := l.reading(o.DST); r != c.due.reading {
			if c.others == nil {
				c.others = &part{reading: r}
			}
			to = c.others
		}
		to.week.add(l)
	}
	return c
}

func unusable(text string, err error) *Cron { return &Cron{text: text, err: err} }

func (c *Cron) fires() bool { return c != nil && c.zone != nil }

// Next returns the first time the schedule fires strictly after t, in the
// schedule's own zone. It returns the zero time for a nil or unusable schedule, for
// a t outside the years 1 to 9999 in UTC, and when it does not fire again within them. Schedules fire at whole
// minutes of the zone's clock, except where a gap ends between two of them.
//
// It takes constant time, some tens of nanoseconds whatever the number of lines, and
// allocates only when it meets a part of the zone's history for the first time.
func (c *Cron) Next(t time.Time) time.Time {
	if !c.fires() {
		return time.Time{}
	}
	sec := t.Unix()
	if !withinLimit(sec) {
		return time.Time{}
	}
	var next time.Time
	if c.dst == DSTCompat {
		next = c.nextCompat(t)
	} else {
		next = c.at(c.next(sec))
	}
	if !withinLimit(next.Unix()) {
		return time.Time{}
	}
	return next
}

func (c *Cron) at(sec int64) time.Time { return time.Unix(sec, 0).In(c.zone.loc) }

// next returns the first fire after sec, as the readings of the lines have it.
func (c *Cron) next(sec int64) int64 {
	fire := c.due.next(c.zone, sec)
	if c.others != nil {
		fire = min(fire, c.others.next(c.zone, sec))
	}
	return fire
}

func (p *part) next(z *zone, sec int64) int64 {
	at := sec
	for {
		page := z.page(at)
		for i := range page.spans {
			s := &page.spans[i]
			if s.end <= at {
				continue
			}
			minute := s.first[p.reading]
			if sec >= s.start {
				minute = max(minute, floorDiv(sec+s.offset, 60)+1)
			}
			// A minute before the span's start was skipped: it fires now.
			if fire := max(p.week.next(minute)*60-s.offset, s.start); fire < s.end {
				return fire
			}
			// From here on the first candidate is the next span's first second.
			at, sec = s.end, s.end-1
		}
	}
}

// onDay returns the first time that belongs to a date, given as days since
// 1970-01-01. Unlike a search from midnight it is not misled by a time of the day
// before that a gap has moved past midnight.
func (c *Cron) onDay(day int64) time.Time {
	if c.due.reading == once && c.others == nil {
		return c.at(c.zone.reach(c.due.week.next(day * minutesPerDay)))
	}
	return c.Next(c.at(c.zone.midnight(day) - 1))
}

// Matches reports whether the schedule fires in the minute that ends with t:
// after t minus one minute and not after t. For a schedule that fires at whole
// minutes, that is whether it fires at t cut to the minute.
func (c *Cron) Matches(t time.Time) bool {
	next := c.Next(t.Add(-time.Minute))
	return !next.IsZero() && !next.After(t)
}

// Occurrences yields the times at which the schedule fires after from and not
// after to, in order. The sequence may be ranged over more than once.
func (c *Cron) Occurrences(from, to time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for t := c.Next(from); !t.IsZero() && !t.After(to); t = c.Next(t) {
			if !yield(t) {
				return
			}
		}
	}
}

// NextAllowed returns the first time after at that the schedule fires on one of
// days, in the schedule's zone, and whether there is one.
//
// The search goes on from a time on another day only while that time is less than
// seven days of 24 hours after at. The time returned may lie beyond.
func (c *Cron) NextAllowed(at time.Time, days Days) (time.Time, bool) {
	next := c.Next(at)
	for !next.IsZero() && days != AllDays && !days.Has(next.Weekday()) {
		limit := at.Add(7 * 24 * time.Hour)
		from := c.skipDay(next, limit)
		if !from.Before(limit) {
			return time.Time{}, false
		}
		next = c.Next(from)
	}
	return next, !next.IsZero()
}

// skipDay returns where to search on from a fire on a forbidden day: the last
// moment of that day, so that a schedule of every minute does not try them all, or
// the fire itself when the offset changes before or the day ends after the
// limit. The library's answers may depend on where a search begins, so in its
// mode every fire is tried.
func (c *Cron) skipDay(fire, limit time.Time) time.Time {
	if c.dst == DSTCompat {
		return fire
	}
	sec := fire.Unix()
	s := c.zone.span(sec)
	end := sec + secondsPerDay - floorMod(sec+s.offset, secondsPerDay)
	if end > s.end || end > limit.Unix() {
		return fire
	}
	return c.at(end - 1)
}

// Err returns nil, or why the schedule's text is unusable. Only an [Interner]
// hands out schedules with an error.
func (c *Cron) Err() error {
	if c == nil {
		return nil
	}
	return c.err
}

// Text returns the schedule exactly as it was submitted.
func (c *Cron) Text() string {
	if c == nil {
		return ""
	}
	return c.text
}

// Spec returns the five fields without the zone, separated by single spaces, or
// "" when the schedule is unusable. Several lines are separated by "; ".
func (c *Cron) Spec() string {
	if c == nil {
		return ""
	}
	specs := make([]string, len(c.lines))
	for i := range c.lines {
		specs[i] = c.lines[i].spec
	}
	return strings.Join(specs, "; ")
}

// String returns the canonical text: CRON_TZ=<zone> and [Cron.Spec]. Parsed
// again it gives an equal schedule. For an unusable schedule it returns Text.
func (c *Cron) String() string {
	if !c.fires() {
		return c.Text()
	}
	return zonePrefix + c.zone.loc.String() + " " + c.Spec()
}

// Location returns the schedule's zone, UTC when the schedule is nil or unusable.
func (c *Cron) Location() *time.Location {
	if !c.fires() {
		return time.UTC
	}
	return c.zone.loc
}

// Min returns the shortest time between two consecutive fires in the week from
// 1970-01-01T01:01:01Z, a week if it fires once, and zero if it never fires. It is
// for display: no minimum is enforced.
func (c *Cron) Min() time.Duration {
	const aWeek = 7 * 24 * time.Hour
	if !c.fires() {
		return 0
	}
	start := time.Date(1970, 1, 1, 1, 1, 1, 0, time.UTC)
	first := c.Next(start)
	last := c.Next(first) // may lie beyond the week: one gap is always measured
	smallest := min(aWeek, last.Sub(first))
	for t := range c.Occurrences(last, start.Add(aWeek)) {
		smallest, last = min(smallest, t.Sub(last)), t
	}
	return smallest
}
