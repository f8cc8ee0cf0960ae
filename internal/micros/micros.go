// Package micros is the form in which every store keeps instants, and every engine compares them: UTC, whole
// microseconds, no monotonic reading, the zero time for "not set".
package micros

import "time"

// Tick is the precision. A threshold that must be exceeded is met one tick after it is reached.
const Tick = time.Microsecond

// First and Last are the range that stores keep. Year 9999 is the last that JSON and most drivers of databases can write.
var (
	First = time.Time{}.Add(Tick)
	Last  = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
)

// Within brings an instant into the range. The zero time stays the zero time.
func Within(t time.Time) time.Time {
	switch {
	case t.IsZero():
		return t
	case t.After(Last):
		return Last
	case t.Before(First):
		return First
	}
	return t
}

// Of brings an instant to the stored form. The zero time stays the zero time.
func Of(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(Tick)
}

// Later returns the later instant; zero is before all others.
func Later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Earlier returns the earlier instant, where zero is never.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
