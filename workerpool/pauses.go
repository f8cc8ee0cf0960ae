package workerpool

import (
	"maps"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/micros"
)

// pauses are the holds on creates, pure. A pause begins with a failure and grows with each that follows. When its time is
// over, one trial is allowed; each success doubles the number of those that may be in flight, until the pause is over.
type pauses struct {
	first, longest time.Duration
	byKey          map[string]*pause
}

type pause struct {
	reason       Reason
	since, until time.Time
	failures     int
	trials       int
	text         string
}

// enoughTrials is when a pause is over for good.
const enoughTrials = 16

// failed notes that a create, or a boot, that began at begun has failed. One that began before the pause did says nothing
// new, except that the longer of two pauses counts. A pause does not grow beyond what the provider itself has asked for.
func (p *pauses) failed(key string, f failure, text string, begun, now time.Time) {
	state, ok := p.byKey[key]
	if !ok {
		state = &pause{}
		p.byKey[key] = state
	}
	until := f.retryAt
	if !ok || begun.After(state.since) {
		state.since, state.trials = now, 1
		if !until.After(now) {
			state.failures++
			until = now.Add(backoff.Doubled(p.firstOf(f.reason), state.failures-1, p.longest))
		}
	}
	state.reason, state.text = f.reason, text
	state.until = micros.Later(state.until, until)
}

// firstOf is the first pause. An error without a class may be a bad moment, so that it is tried again sooner.
func (p *pauses) firstOf(r Reason) time.Duration {
	if r == ReasonCreateFailed {
		return p.first / 12
	}
	return p.first
}

// succeeded notes that a create, or a boot, that began at begun went well. It returns whether the pause is over.
func (p *pauses) succeeded(key string, begun time.Time) {
	state, ok := p.byKey[key]
	if !ok || begun.Before(state.since) {
		return
	}
	state.trials *= 2
	state.until = micros.Earlier(state.until, begun)
	if state.trials > enoughTrials {
		delete(p.byKey, key)
	}
}

// eased ends the wait of a pause: an instance has gone, or the operator wants to try. The trial is still a trial. It
// reports whether there is such a pause.
func (p *pauses) eased(key string, now time.Time) bool {
	state, ok := p.byKey[key]
	if ok {
		state.until = micros.Earlier(state.until, now)
	}
	return ok
}

// allow is how many more creates a pause allows, given those in flight. ok is false if there is no such pause.
func (p *pauses) allow(key string, inFlight int, now time.Time) (n int, ok bool) {
	state, ok := p.byKey[key]
	switch {
	case !ok:
		return 0, false
	case now.Before(state.until):
		return 0, true
	case now.Sub(state.until) > p.longest: // nobody wanted one for long; it would be a trial anyway
		delete(p.byKey, key)
		return 0, false
	}
	return max(0, state.trials-inFlight), true
}

func (p *pauses) keys() []string { return slices.Sorted(maps.Keys(p.byKey)) }
