package acquirer

import (
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/breaker"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

// health is whom the store fails: some organizations, whose jobs it refuses to write or whose lanes take it too long, or all. Each that
// it fails waits before its next call, longer each time, and is tried in places of its own (see [trialPlaces]). All wait only if calls for
// different ones fail and none succeeds in between: so nobody's failures are held against another. It has a lock of its own, which may be
// taken under Acquirer.mu.
//
// The nil id stands for what concerns all organizations, such as the backup.
type health struct {
	mu sync.Mutex
	// all is for what fails for different ones, and failing for each of which a call fails.
	all     breaker.Breaker
	failing map[uuid.UUID]*failing
	// failures counts those in a row, whoever's.
	failures int
	// apart are organizations of which a listing for several failed: nobody knows because of which, so that each is listed alone.
	apart map[uuid.UUID]struct{}
}

// target is what a call of the store is for: the claims of a domain, or without one the listings of the organization's lanes.
type target struct {
	organization uuid.UUID // nil: all of them, or several
	domain       *dispatch.Domain
	// several: a listing of some organizations. If it fails each of them is listed alone: it has no failures of its own, and does not wait
	// for those of listings of all.
	several bool
}

func claimOf(d *dispatch.Domain) target { return target{organization: d.Organization, domain: d} }

// listingOf is the listing of some organizations, none meaning all.
func listingOf(organizations []uuid.UUID) target {
	switch len(organizations) {
	case 0:
		return target{}
	case 1:
		return target{organization: organizations[0]}
	}
	return target{several: true}
}

// key tells the targets of an organization apart. A domain may be forgotten and made anew.
func (t target) key() string {
	if t.domain == nil {
		return ""
	}
	return t.domain.Key()
}

// streak is failures in a row.
type streak struct {
	breaker.Breaker
	slow int       // of those, how many took long
	at   time.Time // when the last was
}

func newStreak() streak { return streak{Breaker: newBreaker()} }

func (s *streak) fail(took time.Duration, now time.Time) {
	s.Fail(now)
	s.at = now
	if took >= slowTrial {
		s.slow++
	}
}

// failing is one of which a call failed the last time. The streak is that of all its calls, and ends with any that succeeds; each target has
// its own beside it: claims that hang for one domain are known to do so although those of another, or listings, go through.
type failing struct {
	streak
	targets map[string]*streak
}

// rank is in which places a call is tried: the higher, the longer it may keep one.
type rank int

const (
	healthy rank = iota // in no such place
	quick               // it failed, and that did not take long
	slow                // it took long
	hanging             // and did so again and again
	ranks
)

func (s *streak) rank() rank {
	switch {
	case s == nil || s.Failures() == 0:
		return healthy
	case s.slow == 0:
		return quick
	case s.slow <= fewSlow:
		return slow
	}
	return hanging
}

func newBreaker() breaker.Breaker { return breaker.Breaker{First: firstPause, Max: maxPause} }

func newHealth() *health {
	return &health{all: newBreaker(), failing: make(map[uuid.UUID]*failing), apart: make(map[uuid.UUID]struct{})}
}

// succeed takes in that calls were answered. It returns those that had failed before.
func (h *health) succeed(targets ...target) (back []target) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures = 0
	h.all.Succeed()
	for _, t := range targets {
		if h.recovered(t) {
			back = append(back, t)
		}
	}
	return back
}

// of returns the failures of a target's organization; nil: there are none. mu is locked.
func (h *health) of(t target) *failing {
	if t.several {
		return nil
	}
	return h.failing[t.organization]
}

// recovered reports whether a call that was answered had failed before. mu is locked.
func (h *health) recovered(t target) bool {
	f := h.of(t)
	if f == nil {
		return false
	}
	key := t.key()
	_, failed := f.targets[key]
	delete(f.targets, key)
	f.streak = newStreak()
	if len(f.targets) == 0 {
		delete(h.failing, t.organization)
	}
	return failed
}

// listed is succeed for a listing of organizations, none meaning all.
func (h *health) listed(ids []uuid.UUID) (back []target) {
	if len(ids) == 0 {
		return h.succeed(target{})
	}
	targets := make([]target, len(ids))
	for i, id := range ids {
		targets[i].organization = id
	}
	back = h.succeed(targets...)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		delete(h.apart, id)
	}
	return back
}

// separate notes that a listing of several organizations failed.
func (h *health) separate(ids []uuid.UUID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		h.apart[id] = struct{}{}
	}
}

// fail takes in that a call failed, after some time.
func (h *health) fail(t target, took time.Duration, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, known := h.failing[t.organization]
	if !known {
		f = &failing{streak: newStreak(), targets: make(map[string]*streak)}
		h.failing[t.organization] = f
	}
	own, ok := f.targets[t.key()]
	if !ok {
		first := newStreak()
		own = &first
		f.targets[t.key()] = own
	}
	f.fail(took, now)
	own.fail(took, now)
	switch {
	case h.failures == 0: // it may be that one's fault
	case known: // and so may this
		h.all.Hold(now)
	default:
		h.all.Fail(now)
	}
	h.failures++
}

// wait is for how long a call has to wait, 0 or less if it may go.
func (h *health) wait(t target, now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.all.Wait(now)
	if f := h.of(t); f != nil {
		d = max(d, f.Wait(now))
		if own := f.targets[t.key()]; own != nil {
			d = max(d, own.Wait(now))
		}
	}
	return d
}

// rank is the worse one of the call's own and that of all calls of its organization.
func (h *health) rank(t target) rank {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.of(t)
	if f == nil {
		return healthy
	}
	return max(f.rank(), f.targets[t.key()].rank())
}

// failsAlone reports whether the last two listings of all failed, and calls for some do not.
func (h *health) failsAlone() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.failing[uuid.Nil]
	return f != nil && f.Failures() > 1 && h.all.Failures() == 0
}

// split divides organizations into those that may share a listing and those that may not.
func (h *health) split(ids []uuid.UUID) (together, alone []uuid.UUID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		if _, apart := h.apart[id]; apart || h.failing[id] != nil {
			alone = append(alone, id)
		} else {
			together = append(together, id)
		}
	}
	return together, alone
}

// forget drops what failed longer ago than a trial may take to be made, and at once, but for the longest pause, what concerns organizations
// for which nobody waits any more. What concerns all is always made again.
func (h *health) forget(known func(uuid.UUID) bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, f := range h.failing {
		since := 2 * maxPause
		if id == uuid.Nil || known(id) {
			since = staleTrial
		}
		maps.DeleteFunc(f.targets, func(_ string, own *streak) bool { return now.Sub(own.at) > since })
		if len(f.targets) == 0 {
			delete(h.failing, id)
		}
	}
	maps.DeleteFunc(h.apart, func(id uuid.UUID, _ struct{}) bool { return !known(id) })
}

// inARow counts the failures in a row: whoever's, and for each organization those of each of its calls that failed the last time.
func (h *health) inARow() (failures int, failing map[uuid.UUID]int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, f := range h.failing {
		for key, own := range f.targets {
			if id == uuid.Nil && key == "" { // a listing of all or of several
				continue
			}
			if failing == nil {
				failing = make(map[uuid.UUID]int)
			}
			failing[id] += own.Failures()
		}
	}
	return h.failures, failing
}
