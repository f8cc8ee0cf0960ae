package lifecycle

import (
	"math"
	"time"
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

// at brings a time to the precision of the stores.
func at(t time.Time) instant {
	if t.IsZero() {
		return unset
	}
	return instant(t.UnixMicro())
}

// plus moves an instant; unset and never stay what they are.
func (i instant) plus(d time.Duration) instant {
	if i == unset || i == never {
		return i
	}
	return i + instant(d/time.Microsecond)
}

// time returns the instant in UTC, zero for unset and never.
func (i instant) time() time.Time {
	if i == unset || i == never {
		return time.Time{}
	}
	return time.UnixMicro(int64(i)).UTC()
}
