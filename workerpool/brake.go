package workerpool

import "time"

// brake keeps the pool from destroying or dropping many workers for what is probably not their fault.
type brake struct {
	// failing: so many workers fail their probes together that none is shut down for it.
	failing bool
	// missing counts the listings in a row that lacked more than half of the workers, lacked is when the last one of them
	// began.
	missing int
	lacked  time.Time
	// releasedUntil: an operator has said that it is their fault.
	releasedUntil time.Time
}

const (
	// brakeMin is how many workers may always fail together, brakePercent the part of all that may.
	brakeMin     = 3
	brakePercent = 45
	// missingMin is from how many known workers on a listing is judged, missingListings how many must agree.
	missingMin      = 3
	missingListings = 3
)

// tooManyFail reports whether so many of the workers that have been heard of fail that the fault is elsewhere.
func tooManyFail(failing, all int) bool {
	return failing > brakeMin && failing*100 > brakePercent*all
}

// tooManyMissing reports whether a listing lacks so many workers that others must confirm it.
func tooManyMissing(missing, known int) bool {
	return known >= missingMin && 2*missing > known
}

// confirm judges a listing and reports whether what is missing may be dropped. One that begins less than an interval after the
// one before confirms nothing: both may be of the same bad moment.
func (b *brake) confirm(missing, known int, begun, now time.Time, interval time.Duration) bool {
	if !tooManyMissing(missing, known) || now.Before(b.releasedUntil) {
		b.missing = 0
		return true
	}
	if b.missing == 0 || begun.Sub(b.lacked) >= interval {
		b.missing++
		b.lacked = begun
	}
	if b.missing < missingListings {
		return false
	}
	b.missing = 0
	return true
}
