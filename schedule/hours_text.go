package schedule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/dormouse-go/dormouse/invalid"
)

// ParseHours reads working hours as people write them: a zone, that of the options
// without it, then weekdays, as [ParseDays] reads them, and after them one or
// several times of day from and to, such as
//
//	Europe/Berlin Mon-Thu 09:00-18:00, Fri 07:30-12:00 12:30-14:00
//
// Commas and white space separate alike. A time is 9, 9:30 or 09:30, and 24:00 at the end of a
// day. An end that is not after its beginning is on the next day ("22:00-06:00").
// Hours that touch are joined, so "Sat-Sun 00:00-24:00" is one stretch of two days.
// Refused are hours that overlap or are empty ("09:00-09:00"), more than four on a day, and
// hours that never end. "" is the zero value.
func ParseHours(text string, o Options) (Hours, error) {
	if err := o.validateDST(); err != nil {
		return Hours{}, err
	}
	if len(text) > maxText {
		return Hours{}, invalid.New("text", text, "must not be longer than %d bytes", maxText)
	}
	words := hourWords(text)
	if len(words) == 0 {
		return Hours{}, nil
	}
	var named *string
	if !isHours(words[0]) {
		named, words = &words[0], words[1:]
	}
	loc, err := o.location("text", text, named)
	if err != nil {
		return Hours{}, err
	}
	spans, err := parseHours(text, words)
	if err != nil {
		return Hours{}, err
	}
	if spans, err = joined(text, spans); err != nil {
		return Hours{}, err
	}
	return newHours(newZone(loc), o.DST, spans)
}

// hourWords cuts the text at commas and white space, except around a dash: "9:00 - 17:00" is one word, with either dash.
func hourWords(text string) []string {
	parts := strings.Split(strings.ReplaceAll(text, "–", "-"), "-")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return strings.FieldsFunc(strings.Join(parts, "-"), func(r rune) bool { return r == ',' || r == ';' || unicode.IsSpace(r) })
}

func isHours(word string) bool {
	if _, err := ParseDays(word); err == nil {
		return true
	}
	return word[0] >= '0' && word[0] <= '9'
}

// parseHours reads groups of weekdays and times of day.
func parseHours(text string, words []string) ([]hours, error) {
	var spans []hours
	var days Days
	timed := true // a weekday begins a new group
	for _, word := range words {
		if from, to, ok := parseSpan(word); ok {
			if days == 0 {
				return nil, invalid.New("text", text, "must have weekdays before %q", word)
			}
			if from == to {
				return nil, invalid.New("text", text, "%q is empty; a whole day is 00:00-24:00", word)
			}
			spans, timed = append(spans, onDays(days, from, to)...), true
			continue
		}
		more, err := ParseDays(word)
		if err != nil || more == 0 {
			return nil, invalid.New("text", text, "%q is neither a weekday such as Mon or Mon-Fri, nor times such as 09:00-18:00", word)
		}
		if timed {
			days, timed = 0, false
		}
		days |= more
	}
	if !timed || len(spans) == 0 {
		return nil, invalid.New("text", text, "must have times such as 09:00-18:00 after the weekdays")
	}
	return spans, nil
}

func onDays(days Days, from, to int) []hours {
	if to < from {
		to += minutesPerDay
	}
	var spans []hours
	for d := range 7 {
		if days>>d&1 != 0 {
			spans = append(spans, hours{d*minutesPerDay + from, d*minutesPerDay + to})
		}
	}
	return spans
}

// parseSpan reads "09:00-18:00" as minutes of the day.
func parseSpan(word string) (from, to int, ok bool) {
	first, last, isRange := strings.Cut(word, "-")
	from, ok1 := minuteOfDay(first)
	to, ok2 := minuteOfDay(last)
	return from, to, isRange && ok1 && ok2 && from < minutesPerDay
}

func minuteOfDay(s string) (int, bool) {
	hour, minute, both := strings.Cut(s, ":")
	if !both {
		minute = "00"
	}
	if !singleValue(hour) || !singleValue(minute) || hour == "" || len(minute) != 2 {
		return 0, false
	}
	h, _ := strconv.Atoi(hour)
	m, _ := strconv.Atoi(minute)
	at := h*minutesPerHour + m
	return at, m < minutesPerHour && at <= minutesPerDay
}

// joined puts spans in order and makes one of those that touch, also of the last and the first of the week.
func joined(text string, spans []hours) ([]hours, error) {
	slices.SortFunc(spans, func(a, b hours) int { return a.start - b.start })
	kept := spans[:1:1]
	for _, s := range spans[1:] {
		last := &kept[len(kept)-1]
		switch {
		case s.start < last.end:
			return nil, overlap(text, *last, s)
		case s.start == last.end:
			last.end = s.end
		default:
			kept = append(kept, s)
		}
	}
	first, last := kept[0], &kept[len(kept)-1]
	switch over := last.end - minutesPerWeek - first.start; {
	case over > 0:
		return nil, overlap(text, *last, first)
	case over == 0 && len(kept) == 1:
		return nil, invalid.New("text", text, "must end at some time of the week")
	case over == 0:
		last.end = first.end + minutesPerWeek
		kept = kept[1:]
	}
	return kept, limitSpans(text, kept)
}

func overlap(text string, a, b hours) error {
	return invalid.New("text", text, "%s and %s overlap", a, b)
}

func limitSpans(text string, spans []hours) error {
	var begin, end [7]int
	for _, s := range spans {
		from, to := s.start/minutesPerDay%7, s.end/minutesPerDay%7
		begin[from]++
		end[to]++
		if begin[from] > maxSpans || end[to] > maxSpans {
			return invalid.New("text", text, "must not begin or end more than %d times on a day", maxSpans)
		}
	}
	return nil
}

// String shows a span with its day, for errors.
func (s hours) String() string {
	return dayNames[s.start/minutesPerDay%7] + " " + clockTime(s.start) + "-" + clockTime(s.end)
}

func clockTime(minute int) string {
	minute %= minutesPerDay
	return fmt.Sprintf("%02d:%02d", minute/minutesPerHour, minute%minutesPerHour)
}

// group is days that have the same hours.
type group struct {
	days  Days
	spans []hours // minutes of the day
}

// groups returns the hours day by day, equal days together. A stretch of a day and
// more is cut at midnight.
func (h Hours) groups() []group {
	var today [7][]hours
	for _, s := range h.spans {
		for s.start < s.end {
			piece, midnight := s, s.start-s.start%minutesPerDay
			if s.end-s.start >= minutesPerDay {
				piece.end = midnight + minutesPerDay
			}
			d := midnight / minutesPerDay % 7
			today[d] = append(today[d], hours{piece.start - midnight, piece.end - midnight})
			s.start = piece.end
		}
	}
	var groups []group
	for d, spans := range today {
		slices.SortFunc(spans, func(a, b hours) int { return a.start - b.start })
		i := slices.IndexFunc(groups, func(g group) bool { return slices.Equal(g.spans, spans) })
		switch {
		case len(spans) == 0:
		case i >= 0:
			groups[i].days |= 1 << d
		default:
			groups = append(groups, group{1 << d, spans})
		}
	}
	return groups
}

// String returns the canonical text: the zone, then groups of days with equal
// hours, such as "Europe/Berlin Mon-Thu 09:00-18:00, Fri 07:30-14:00". Parsed again
// it gives equal hours. A stretch of a day and more is written day by day.
func (h Hours) String() string {
	if h.IsZero() {
		return ""
	}
	var parts []string
	for _, g := range h.groups() {
		part := g.days.names()
		for _, s := range g.spans {
			part += " " + clockTime(s.start) + "-"
			if s.end == minutesPerDay {
				part += "24:00"
			} else {
				part += clockTime(s.end)
			}
		}
		parts = append(parts, part)
	}
	return h.Location().String() + " " + strings.Join(parts, ", ")
}

// Humanize returns the hours for people, such as
// "9:00AM-6:00PM Mon-Thu; 7:30AM-2:00PM Fri (Europe/Berlin)". For the zero value it is "".
func (h Hours) Humanize() string {
	if h.IsZero() {
		return ""
	}
	var parts []string
	for _, g := range h.groups() {
		var times []string
		for _, s := range g.spans {
			times = append(times, kitchen(s.start)+"-"+kitchen(s.end))
		}
		if slices.Equal(g.spans, []hours{{0, minutesPerDay}}) {
			times = []string{"all day"}
		}
		parts = append(parts, strings.Join(times, ", ")+" "+g.days.human())
	}
	return strings.Join(parts, "; ") + " (" + h.Location().String() + ")"
}
