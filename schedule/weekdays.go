package schedule

import (
	"strconv"
	"strings"
)

// weekdays is one item of a day-of-week field: every step-th day from first to last. Sunday is 0, and 7 where the item
// has it so; a range past Sunday goes on counting, so that Friday to Monday is 5 to 8.
type weekdays struct{ first, last, step int }

// weekdaysOf reads an item such as "5", "Fri-Mon", "*/2" or "6-1". It reports false for what it cannot read, which is for
// the parser of robfig/cron to refuse. A step that cannot be read is 0.
func weekdaysOf(item string) (w weekdays, ok bool) {
	item, step, stepped := strings.Cut(item, "/")
	from, to, isRange := strings.Cut(item, "-")
	switch {
	case from == "*" || from == "?":
		from, to = "0", "6"
	case !isRange && stepped: // N/step goes on to Saturday
		to = "6"
	case !isRange:
		to = from
	}
	first, ok1 := weekdayNumber(from)
	last, ok2 := weekdayNumber(to)
	if last < first {
		last += 7
	}
	w = weekdays{first: first, last: last, step: 1}
	if stepped {
		w.step, _ = strconv.Atoi(step)
		w.step = max(w.step, 0)
	}
	return w, ok1 && ok2
}

// weekdayNumber reads what robfig/cron reads in this field, and 7.
func weekdayNumber(name string) (int, bool) {
	if bit, ok := dayBit(name); ok && len(name) == 3 {
		return (bit + 1) % 7, true
	}
	n, err := strconv.Atoi(name)
	return n, err == nil && n >= 0 && n <= 7
}

// withoutWrap writes a day-of-week field in the way that robfig/cron reads: without weekday 7, and without ranges past
// Sunday.
func withoutWrap(field string) string {
	items := strings.Split(field, ",")
	for i, item := range items {
		w, ok := weekdaysOf(item)
		switch {
		case ok && w.step == 0: // refused for its step, not for the range
			_, step, _ := strings.Cut(item, "/")
			items[i] = "*/" + step
		case ok && w.last > 6:
			items[i] = w.list(strconv.Itoa)
		}
	}
	return strings.Join(items, ",")
}

func (w weekdays) list(name func(day int) string) string {
	var names []string
	for d := w.first; d <= w.last; d += min(w.step, 14) { // no sum of days overflows
		names = append(names, name(d%7))
	}
	return strings.Join(names, ",")
}

// humanize names the days for people: one, a range, or a list where it has steps.
func (w weekdays) humanize(item string) string {
	switch {
	case strings.Contains(item, "/"):
		return w.list(shortDay)
	case !strings.Contains(item, "-") && w.first == w.last:
		return shortDay(w.first)
	}
	return shortDay(w.first) + "-" + shortDay(w.last)
}
