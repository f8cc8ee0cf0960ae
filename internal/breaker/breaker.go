// Package breaker says how long to leave a failing dependency alone: a pause that doubles with each failure in a row, and
// that one success ends. However many callers there are, together they do not hammer a database that is down.
//
// It reads no clock and takes no lock; the caller passes the present and serializes the calls. It refuses nothing: calls
// that are under way when the first of them fails go on, and each failure counts.
package breaker

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
)

// Breaker is the state of one dependency. Set First and Max; the rest of the zero value is a dependency that has not
// failed.
type Breaker struct {
	// First is the pause after the first failure, Max the longest.
	First, Max time.Duration

	failures int
	until    time.Time
}

// Wait is how long to hold calls back; 0 or less: not at all.
func (b *Breaker) Wait(now time.Time) time.Duration {
	if b.failures == 0 {
		return 0
	}
	return b.until.Sub(now)
}

// Succeed notes a call that was answered.
func (b *Breaker) Succeed() { b.failures = 0 }

// Fail notes a call that failed.
func (b *Breaker) Fail(now time.Time) {
	b.failures++
	b.Hold(now)
}

// Hold begins the pause anew, as long as it was, if there is one: for a failure that says no more than those before it.
func (b *Breaker) Hold(now time.Time) {
	if b.failures > 0 {
		b.until = now.Add(backoff.Doubled(b.First, b.failures-1, b.Max))
	}
}

// Note is [Breaker.Succeed] if err is nil, else [Breaker.Fail].
func (b *Breaker) Note(err error, now time.Time) {
	if err == nil {
		b.Succeed()
		return
	}
	b.Fail(now)
}

// Failures is the number of failures in a row.
func (b *Breaker) Failures() int { return b.failures }
