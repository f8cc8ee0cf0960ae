package schedule

import (
	"math/bits"
	"slices"
	"strings"
	"time"
)

// maxTimes is how many times of day are listed before the fields are clearer.
const maxTimes = 4

func kitchen(minute int) string {
	return time.Date(2000, 1, 1, 0, minute, 0, 0, time.UTC).Format(time.Kitchen)
}

func shortDay(d int) string { return time.Weekday(d % 7).String()[:3] }

// Time returns the time of day for people, such as "9:30AM". For a line with more
// than one time of day it is the minute and hour fields, such as
// "cron(*/5 12-18)", and for a schedule that never fires "". The times of several
// lines are listed, each once.
func (c *Cron) Time() string {
	if !c.fires() {
		return ""
	}
	var times []string
	for i := range c.lines {
		if time := c.lines[i].time(); !slices.Contains(times, time) {
			times = append(times, time)
		}
	}
	return strings.Join(times, ", ")
}

// DaysOfWeek returns the days for people: "daily", "Mon-Fri", "Sat,Sun", in the
// order in which they were written. For several lines it is the days on which any
// of them fires, from Monday on, and for a schedule that never fires "".
func (c *Cron) DaysOfWeek() string {
	if !c.fires() {
		return ""
	}
	if len(c.lines) == 1 {
		return c.lines[0].weekdays()
	}
	var all Days
	for i := range c.lines {
		all |= c.lines[i].days()
	}
	return all.human()
}

// Humanize returns the whole schedule for people, such as
// "9:30AM Mon-Fri (Europe/Berlin)" or "9:00AM Mon-Thu; 7:30AM Fri (UTC)". Up to four
// times of day are listed for each line. For a schedule that never fires it is "".
func (c *Cron) Humanize() string {
	if !c.fires() {
		return ""
	}
	lines := make([]string, len(c.lines))
	for i := range c.lines {
		lines[i] = c.lines[i].times() + " " + c.lines[i].weekdays()
	}
	return strings.Join(lines, "; ") + " (" + c.zone.loc.String() + ")"
}

func (l *line) time() string {
	if list := l.minutesOfDay(2); len(list) == 1 {
		return kitchen(list[0])
	}
	fields := strings.Fields(l.spec)
	return "cron(" + fields[fieldMinute] + " " + fields[fieldHour] + ")"
}

func (l *line) times() string {
	list := l.minutesOfDay(maxTimes + 1)
	if len(list) > maxTimes {
		return l.time()
	}
	times := make([]string, len(list))
	for i, minute := range list {
		times[i] = kitchen(minute)
	}
	return strings.Join(times, ", ")
}

// minutesOfDay returns the times of day in order, up to limit of them.
func (l *line) minutesOfDay(limit int) []int {
	var list []int
	for h := l.hours(); h != 0; h &= h - 1 { // clears the lowest bit
		for m := l.minutes(); m != 0; m &= m - 1 {
			if len(list) == limit {
				return list
			}
			list = append(list, bits.TrailingZeros64(h)*minutesPerHour+bits.TrailingZeros64(m))
		}
	}
	return list
}

func (l *line) weekdays() string {
	if l.days() == AllDays {
		return "daily"
	}
	var parts []string
	for item := range strings.SplitSeq(strings.Fields(l.spec)[fieldDayOfWeek], ",") {
		if w, ok := weekdaysOf(item); ok {
			parts = append(parts, w.humanize(item))
		}
	}
	return strings.Join(parts, ",")
}
