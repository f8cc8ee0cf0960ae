package invalid

import (
	"math"
	"time"
)

// The most that a setting may be. Beyond it nobody can mean what was given, and a few of them added up, or one of them
// multiplied by a small number, would overflow.
const (
	MaxDuration = 50 * 365 * 24 * time.Hour
	MaxCount    = math.MaxInt32
)

// Duration refuses a duration that is negative or longer than [MaxDuration], 50 years.
func Duration(field string, d time.Duration) error {
	switch {
	case d < 0:
		return New(field, d, "must not be negative")
	case d > MaxDuration:
		return New(field, d, "must be at most %v, 50 years", MaxDuration)
	}
	return nil
}

// Count refuses a number of things that is negative or above [MaxCount].
func Count(field string, n int) error {
	switch {
	case n < 0:
		return New(field, n, "must not be negative")
	case n > MaxCount:
		return New(field, n, "must be at most %d", MaxCount)
	}
	return nil
}
