package lifecycle

import (
	"math"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

// instant is a stored instant as the rules compute with it: microseconds since 1970. Comparing and moving one costs a
// fraction of what it costs with a time.Time, and the rules do little else.
type instant int64

const (
	// unset is the zero time: before every clock.
	unset instant = math.MinInt64
	// never is after every clock.
	never instant = math.MaxInt64
)

// The instants that a host may give lie in the years 1 to 9999: every store keeps them, and JSON can say them. What is
// computed, or was stored by hand, ends at these bounds instead of running over them.
const (
	firstSecond = -62135596800 // 0001-01-01 00:00:00 UTC
	lastSecond  = 253402300799 // 9999-12-31 23:59:59 UTC

	firstInstant instant = firstSecond * 1e6
	lastInstant  instant = lastSecond*1e6 + 999_999
)

// at brings a time to the precision of the stores.
func at(t time.Time) instant {
	s := t.Unix()
	if s <= firstSecond || s > lastSecond {
		return outermost(t)
	}
	return instant(s*1e6 + int64(t.Nanosecond())/1e3)
}

// outermost is at for the first second, which the zero time is in, and for what lies outside of the range.
func outermost(t time.Time) instant {
	switch s := t.Unix(); {
	case t.IsZero():
		return unset
	case s < firstSecond:
		return firstInstant
	case s > lastSecond:
		return lastInstant
	}
	return instant(t.UnixMicro())
}

// plus moves an instant; unset and never stay what they are.
func (i instant) plus(d time.Duration) instant {
	if i == unset || i == never {
		return i
	}
	return min(max(i+instant(d/time.Microsecond), firstInstant), lastInstant)
}

// time returns the instant in UTC, zero for unset and never.
func (i instant) time() time.Time {
	if i == unset || i == never {
		return time.Time{}
	}
	return time.UnixMicro(int64(i)).UTC()
}

// later moves an instant that a host or a worker gave, and ends at the last one.
func later(t time.Time, d time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	return at(t).plus(d).time()
}

// validInstant refuses an instant that cannot be stored. Zero is not set.
func validInstant(field string, t time.Time) error {
	if s := t.Unix(); !t.IsZero() && (s < firstSecond || s > lastSecond) {
		return invalid.New(field, t.UTC().Format("2006-01-02"), "must be in the years 1 to 9999")
	}
	return nil
}

// maxSpan bounds the durations of a policy: a hundred years.
const maxSpan = 100 * 365 * 24 * time.Hour

func validSpan(field string, d time.Duration) error {
	switch {
	case d < 0:
		return invalid.New(field, d, "must not be negative")
	case d > maxSpan:
		return invalid.New(field, d, "must not be longer than %v", maxSpan)
	}
	return nil
}
