package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

// Days is a set of weekdays: Monday is bit 0, Sunday bit 6. The zero value is
// the empty set. Bit 7 has no meaning; [Days.Validate] refuses it.
type Days uint8

// AllDays is the set of all seven weekdays.
const AllDays Days = 0x7f

var dayNames = [7]string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

// DaysOf returns the set of the given weekdays. Values that are not a weekday are left out.
func DaysOf(weekdays ...time.Weekday) Days {
	var d Days
	for _, w := range weekdays {
		if w >= time.Sunday && w <= time.Saturday {
			d |= 1 << bitOf(w)
		}
	}
	return d
}

// bitOf returns a weekday's place in the week that begins on Monday.
func bitOf(w time.Weekday) int { return (int(w) + 6) % 7 }

// Has reports whether the weekday is in the set.
func (d Days) Has(w time.Weekday) bool {
	return w >= time.Sunday && w <= time.Saturday && d>>bitOf(w)&1 != 0
}

// Validate refuses a set in which bit 7 is set.
func (d Days) Validate() error {
	if d&^AllDays != 0 {
		return invalid.New("Days", fmt.Sprintf("%#02x", uint8(d)), "only bits 0 (Monday) to 6 (Sunday) may be set")
	}
	return nil
}

// String returns the set as [ParseDays] reads it: "all", "none", or weekdays and
// runs of three and more of them from Monday on, such as "Mon-Fri" or "Tue,Sat,Sun".
func (d Days) String() string {
	switch {
	case d.Validate() != nil:
		return fmt.Sprintf("Days(%#02x)", uint8(d))
	case d == AllDays:
		return "all"
	case d == 0:
		return "none"
	}
	return d.names()
}

// names returns the weekdays and runs of three and more of them.
func (d Days) names() string { return d.list(func(day int) string { return dayNames[day] }) }

// human is names for people.
func (d Days) human() string {
	if d == AllDays {
		return "daily"
	}
	return d.names()
}

func (d Days) list(name func(day int) string) string {
	var parts []string
	for i := 0; i < 7; i++ {
		first := i
		for i < 7 && d>>i&1 != 0 {
			i++
		}
		if i-first >= 3 {
			parts = append(parts, name(first)+"-"+name(i-1))
			continue
		}
		for ; first < i; first++ {
			parts = append(parts, name(first))
		}
	}
	return strings.Join(parts, ",")
}

// ParseDays reads a set of weekdays: names separated by commas, in any case, in
// full or cut to three letters ("Mon", "monday"), and ranges of them, which may go
// past Sunday ("Fri-Mon"). "all" and "*" are all days; "none" and "" are none.
func ParseDays(text string) (Days, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "", "none":
		return 0, nil
	case "all", "*":
		return AllDays, nil
	}
	var d Days
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, ok := dayBit(from)
		last := first
		if ok && isRange {
			last, ok = dayBit(to)
		}
		if !ok {
			return 0, invalid.New("text", text, "%q is not a weekday or a range of weekdays", part)
		}
		for d |= 1 << last; first != last; first = (first + 1) % 7 {
			d |= 1 << first
		}
	}
	return d, nil
}

func dayBit(name string) (int, bool) {
	name = strings.TrimSpace(name)
	for w := time.Sunday; w <= time.Saturday; w++ {
		if full := w.String(); strings.EqualFold(name, full) || strings.EqualFold(name, full[:3]) {
			return bitOf(w), true
		}
	}
	return 0, false
}
