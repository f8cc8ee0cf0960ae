package leases

import "time"

// run is how long an entry's attempt may go on. Its limit comes once; from then on, or from when somebody asked for the job's
// cancellation, the worker is told to stop, and what has not stopped after a grace is given up: a doubt that no report makes
// void, since that the worker lives is what it is about.
type run struct {
	// limitAt is when the worker is to be told to stop; zero: never.
	limitAt time.Time
	// stopped: it was told to. givenAt is when the lease is given up then, zero for never, and why for what reason.
	stopped bool
	givenAt time.Time
	why     string
	// overdue: the lease was given up.
	overdue bool
}

// next is when something happens by itself; zero: never.
func (r *run) next(busy bool) time.Time {
	switch {
	case !r.stopped:
		return r.limitAt
	case busy:
		return time.Time{}
	}
	return r.givenAt
}

func (r *run) given(now time.Time) bool {
	return !r.givenAt.IsZero() && !r.givenAt.After(now)
}

// LimitAt is when the entry's run reaches its limit; zero: never.
func (e *Entry) LimitAt() time.Time { return e.run.limitAt }

// PastLimit reports whether the entry's run has reached its limit.
func (e *Entry) PastLimit(now time.Time) bool {
	return !e.run.limitAt.IsZero() && !e.run.limitAt.After(now)
}

// limitRun sets when an entry's run reaches its limit, counted from when the attempt began.
func (b *Book) limitRun(e *Entry, begun time.Time) {
	if b.limit == nil || begun.IsZero() {
		return
	}
	if limit := b.limit(e.Job); limit > 0 {
		e.run.limitAt = begun.Add(limit)
	}
}

// Stop notes that the worker of an entry was told to stop. If the lease is not over at the given time, it is given up for that
// reason; zero is never. What was set before and comes sooner stays.
func (b *Book) Stop(e *Entry, why string, give time.Time) {
	e.run.stopped = true
	if !give.IsZero() && (e.run.givenAt.IsZero() || give.Before(e.run.givenAt)) {
		e.run.givenAt, e.run.why = give, why
	}
	if e.state == Held {
		b.plan(e)
	}
}
