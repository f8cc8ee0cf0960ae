package prewarm

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/micros"
)

// Failures counts the attempts to create a member of one version that failed in a row. The zero value is none. It counts
// attempts, not records: an attempt that left nothing behind counts all the same. Attempts that were under way together
// are one: a backend that is away for a second fails all of them, and is no worse for that.
type Failures struct {
	// Version is the one that failed; failures of another than the wanted version do not count.
	Version string
	// Count is the number of failed attempts in a row.
	Count int
	// At is the failure that was counted last, Message what the latest was.
	At      time.Time
	Message string
}

// Failed returns the count after another failed attempt, which began at an instant.
func (f Failures) Failed(version, message string, began, now time.Time) Failures {
	if f.Version != version {
		f = Failures{Version: version}
	}
	f.Message = message
	if !micros.Of(began).After(f.At) {
		return f
	}
	f.Count++
	f.At = micros.Later(f.At, micros.Of(now))
	return f
}

// Succeeded returns the count after a member of a version became ready.
func (f Failures) Succeeded(version string) Failures {
	if f.Version == version {
		return Failures{}
	}
	return f
}

// of returns what counts for a version.
func (f Failures) of(version string) Failures {
	if f.Version != version {
		return Failures{}
	}
	return f
}

// Until returns when the next creation may be tried, zero if there is nothing to wait for.
func (f Failures) Until(r Retry) time.Time {
	if f.Count <= 0 {
		return time.Time{}
	}
	r = Spec{Retry: r}.withDefaults().Retry
	return f.At.Add(backoff.Doubled(r.Initial, f.Count-1, r.Max))
}

// Open reports whether the breaker is open: after the pause one member at a time is tried.
func (f Failures) Open(r Retry) bool {
	return f.Count >= Spec{Retry: r}.withDefaults().Retry.Threshold
}
