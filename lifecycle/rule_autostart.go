package lifecycle

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/schedule"
)

func armAutostart(s *Snapshot) armed {
	if why := startable(s); why != none {
		return not(why)
	}
	spread := jitter(s)
	next := nextOccurrence(s, restedSince(s), spread)
	if next == never {
		return not(noAllowedDay)
	}
	return reached(next, spread)
}

// startable says what keeps a workspace from starting by itself. A start that failed or was canceled does not: the next
// occurrence stands.
func startable(s *Snapshot) obstacle {
	switch b := &s.Build; {
	case s.Workspace.Autostart == nil:
		return noSchedule
	case s.Workspace.Autostart.Err() != nil:
		return badSchedule
	case b.Number == 0:
		return neverBuilt
	case runs(s) || b.Transition == TransitionDelete:
		return notStopped
	case b.Transition == TransitionStop && b.Status == JobFailed:
		return lastBuildFailed
	case dormant(s):
		return isDormant
	case s.Owner.Status != OwnerActive:
		return ownerNotActive
	case !s.Template.Policy.AllowUserAutostart:
		return autostartForbidden
	}
	return none
}

// restedSince is when the workspace last came to rest: occurrences up to then are over. A stop that somebody asked for
// counts from the request; an automatic one from the instant at which it was due, so that however late it was made, an
// occurrence at or after that instant is not lost.
func restedSince(s *Snapshot) time.Time {
	b := &s.Build
	rest := b.CreatedAt
	if b.Transition == TransitionStop && automatic(b) && !b.DueAt.IsZero() && !b.DueAt.After(rest) {
		rest = b.DueAt.Add(-micros.Tick)
	}
	return micros.Later(rest, missedUntil(s))
}

// missedUntil is the instant up to which occurrences do not count whatever the builds say.
func missedUntil(s *Snapshot) time.Time {
	after := micros.Later(s.Workspace.AutostartAfter, s.Owner.AutostartAfter)
	return micros.Later(after, micros.Later(s.Template.AutostartAfter, s.Engine.AutostartAfter))
}

// nextOccurrence returns the first occurrence of the autostart schedule after rest, on an allowed day and outside every
// hold, as it is and as far as the spread of the herd moves it; never if there is none. What falls into a hold is not caught
// up when the hold ends, because nobody wants a fleet to start at the midnight that ends a holiday.
func nextOccurrence(s *Snapshot, rest time.Time, spread time.Duration) instant {
	for range maxOccurrences {
		fire, ok := s.Workspace.Autostart.NextAllowed(rest, s.Template.Policy.AutostartDays)
		if !ok {
			return never
		}
		if coversNothing(s, fire) {
			rest = fire
			continue
		}
		next := at(fire)
		end, held := heldUntil(s, HoldStarts, next)
		if !held && spread > 0 {
			end, held = heldUntil(s, HoldStarts, next.plus(spread))
		}
		if !held {
			return next
		}
		rest = end.plus(-micros.Tick).time()
	}
	return never
}

// coversNothing reports whether a start at an instant would begin hours of which a gap of the clock leaves nothing: they begin
// and end in one instant. It is only where the clock changes that more has to be known of them, which allocates.
func coversNothing(s *Snapshot, at time.Time) bool {
	stop := s.Workspace.Autostop
	if change, _ := at.In(stop.Location()).ZoneBounds(); !change.Equal(at) {
		return false
	}
	h, ok := schedule.HoursOf(s.Workspace.Autostart, stop)
	return ok && !h.Covers(at)
}

// endedBy returns the stop by schedule that ended what was due at an instant, zero if none has until now: a start that comes
// after it is over, because the workspace would run until the stop of another day.
func endedBy(s *Snapshot, due, now time.Time) time.Time {
	if due.IsZero() {
		return time.Time{}
	}
	if stop := s.Workspace.Autostop.Next(due); !stop.After(now) {
		return stop
	}
	return time.Time{}
}

// latest returns the last instant up to now of those that next lists one by one, zero after the last, given an earlier one. It
// looks back further and further until it finds one, so that a schedule of every minute costs no more than one of every week.
func latest(next func(time.Time) time.Time, earlier, now time.Time) time.Time {
	for back := time.Minute; now.Add(-back).After(earlier); back *= 2 {
		if at := next(now.Add(-back)); !at.IsZero() && !at.After(now) {
			earlier = at
			break
		}
	}
	for at := next(earlier); !at.IsZero() && !at.After(now); at = next(earlier) {
		earlier = at
	}
	return earlier
}

// tooLate reports whether an autostart due at the given instant is past the policy's bound. It counts in ticks, as the
// instant that gives the occurrence up is stored in ticks.
func tooLate(s *Snapshot, due, now instant) bool {
	return s.Template.Policy.MaxLateness > 0 && now > due.plus(lateness(s))
}

// lateness is how late an autostart may be. The first tick after its due instant is always in time.
func lateness(s *Snapshot) time.Duration {
	return max(s.Template.Policy.MaxLateness, schedule.MinThreshold, s.Engine.Interval)
}

// armStartRetry counts the pause from the end of the failed start, or of the stop that cleaned up after it.
func armStartRetry(s *Snapshot) armed {
	if s.Template.Policy.StartRetry.Max <= 0 {
		return not(thresholdOff)
	}
	n, b := s.Workspace.StartFailures, &s.Build
	switch why := startable(s); {
	case why != none:
		return not(why)
	case n <= 0 || b.Transition == TransitionStop && b.Status != JobSucceeded:
		return not(noFailedStart)
	case n > s.Template.Policy.StartRetry.Max:
		return not(retriesEnded)
	}
	a := reached(at(b.CompletedAt), startPause(s, n))
	if _, held := heldUntil(s, HoldStarts, a.at); held {
		return not(retryHeld)
	}
	if !endedBy(s, b.DueAt, a.at.time()).IsZero() {
		return not(retryOver)
	}
	return a
}

// startPause is how long after its n-th failure an automatic start is tried again.
func startPause(s *Snapshot, n int) time.Duration {
	r := s.Template.Policy.StartRetry.withDefaults()
	pause := backoff.Doubled(r.Initial, n-1, r.MaxInterval)
	return (pause + backoff.Spread(pause, s.Workspace.ID, uint64(n))).Truncate(micros.Tick)
}

func (r StartRetry) withDefaults() StartRetry {
	if r.Initial == 0 {
		r.Initial = time.Minute
	}
	if r.MaxInterval == 0 {
		r.MaxInterval = max(time.Hour, r.Initial)
	}
	return r
}
