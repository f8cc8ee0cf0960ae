package schedule

import (
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// maxTimes is how many times of day are listed before the fields are clearer.
const maxTimes = 4

func singleMinute(minutes, hours uint64) int {
	if bits.OnesCount64(minutes) != 1 || bits.OnesCount64(hours) != 1 {
		return -1
	}
	return bits.TrailingZeros64(hours)*minutesPerHour + bits.TrailingZeros64(minutes)
}

func kitchen(minute int) string {
	return time.Date(2000, 1, 1, 0, minute, 0, 0, time.UTC).Format(time.Kitchen)
}

// Time returns the time of day for people, such as "9:30AM". For a schedule with
// more than one time of day it is the minute and hour fields, such as
// "cron(*/5 12-18)", and for one that never fires "".
func (c *Cron) Time() string {
	if !c.fires() {
		return ""
	}
	if c.single >= 0 {
		return kitchen(c.single)
	}
	fields := strings.Fields(c.spec)
	return "cron(" + fields[fieldMinute] + " " + fields[fieldHour] + ")"
}

// DaysOfWeek returns the days for people: "daily", "Mon-Fri", "Sat,Sun", in the
// order in which they were written. For a schedule that never fires it is "".
func (c *Cron) DaysOfWeek() string {
	if !c.fires() {
		return ""
	}
	if c.daily {
		return "daily"
	}
	var parts []string
	for item := range strings.SplitSeq(strings.Fields(c.spec)[fieldDayOfWeek], ",") {
		if item != "" {
			parts = append(parts, humanDays(item)...)
		}
	}
	return strings.Join(parts, ",")
}

// humanDays names the weekdays of one item of a day-of-week list that was
// parsed before. A stepped item is written out.
func humanDays(item string) []string {
	item, step, stepped := strings.Cut(item, "/")
	from, to, isRange := strings.Cut(item, "-")
	first, last := cronDay(from), cronDay(to)
	switch {
	case !stepped && !isRange:
		return []string{shortDay(first)}
	case !stepped:
		return []string{shortDay(first) + "-" + shortDay(last)}
	}
	if !isRange {
		last = 6
	}
	every, err := strconv.Atoi(step)
	if err != nil || every < 1 {
		every = 1
	}
	var names []string
	for d := first; d <= last; d += every {
		names = append(names, shortDay(d))
	}
	return names
}

// cronDay reads a weekday of the cron field, Sunday 0. A star counts from Sunday.
func cronDay(name string) int {
	if bit, ok := dayBit(name); ok {
		return (bit + 1) % 7
	}
	n, err := strconv.Atoi(name)
	if err != nil || n < 0 || n > 6 {
		return 0
	}
	return n
}

func shortDay(d int) string { return time.Weekday(d).String()[:3] }

// Humanize returns the whole schedule for people, such as
// "9:30AM Mon-Fri (Europe/Berlin)". Up to four times of day are listed. For a
// schedule that never fires it is "".
func (c *Cron) Humanize() string {
	if !c.fires() {
		return ""
	}
	return c.times() + " " + c.DaysOfWeek() + " (" + c.zone.loc.String() + ")"
}

func (c *Cron) times() string {
	var list []string
	first := c.week.next(0) / minutesPerDay * minutesPerDay
	for m := c.week.next(first); m < first+minutesPerDay; m = c.week.next(m + 1) {
		if len(list) == maxTimes {
			return c.Time()
		}
		list = append(list, kitchen(int(m-first)))
	}
	return strings.Join(list, ", ")
}
