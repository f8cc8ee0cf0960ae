package acquirer

import (
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/breaker"
)

// health is whom the store fails: some organizations, whose jobs it refuses to write or whose lanes take it too long, or all. Each that
// it fails waits before its next call, longer each time. All wait only if calls for different ones fail and none succeeds in between: so
// nobody's failures are held against another. It has a lock of its own, which may be taken under Acquirer.mu.
//
// The nil id stands for what concerns all organizations, such as the backup.
type health struct {
	mu sync.Mutex
	// all is for what fails for different ones, and failing for each whose last call failed.
	all     breaker.Breaker
	failing map[uuid.UUID]*failing
	// failures counts those in a row, whoever's.
	failures int
	// apart are organizations of which a listing for several failed: nobody knows because of which, so that each is listed alone.
	apart map[uuid.UUID]struct{}
}

// failing is one whose last call failed.
type failing struct {
	breaker.Breaker
	at time.Time // when that was
}

func newBreaker() breaker.Breaker { return breaker.Breaker{First: firstPause, Max: maxPause} }

func newHealth() *health {
	return &health{all: newBreaker(), failing: make(map[uuid.UUID]*failing), apart: make(map[uuid.UUID]struct{})}
}

// note takes in what came of a call.
func (h *health) note(whose uuid.UUID, err error, now time.Time) {
	if err != nil {
		h.fail(whose, now)
		return
	}
	h.succeed(whose)
}

func (h *health) succeed(whose ...uuid.UUID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures = 0
	h.all.Succeed()
	for _, id := range whose {
		delete(h.failing, id)
	}
}

// noteListing takes in what came of a listing of organizations, none meaning all, and reports whether it failed for several.
func (h *health) noteListing(ids []uuid.UUID, err error, now time.Time) (together bool) {
	switch {
	case err != nil && len(ids) < 2:
		h.fail(whose(ids), now)
		return false
	case len(ids) == 0:
		h.succeed(uuid.Nil)
	case err == nil:
		h.succeed(ids...)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		if err != nil {
			h.apart[id] = struct{}{}
		} else {
			delete(h.apart, id)
		}
	}
	return err != nil
}

// whose call it is that concerns some organizations, none meaning all: if it is not one alone, nobody's.
func whose(organizations []uuid.UUID) uuid.UUID {
	if len(organizations) == 1 {
		return organizations[0]
	}
	return uuid.Nil
}

func (h *health) fail(whose uuid.UUID, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, known := h.failing[whose]
	if !known {
		f = &failing{Breaker: newBreaker()}
		h.failing[whose] = f
	}
	f.Fail(now)
	f.at = now
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
func (h *health) wait(whose uuid.UUID, now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.all.Wait(now)
	if f := h.failing[whose]; f != nil {
		d = max(d, f.Wait(now))
	}
	return d
}

// fails reports whether the last call failed.
func (h *health) fails(whose uuid.UUID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failing[whose] != nil
}

// failsAlone reports whether the last two calls failed, and those of others do not.
func (h *health) failsAlone(whose uuid.UUID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.failing[whose]
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

// forget drops the organizations for which nobody waits any more, once their pauses are over for as long as the longest.
func (h *health) forget(known func(uuid.UUID) bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.failing, func(id uuid.UUID, f *failing) bool { return !known(id) && now.Sub(f.at) > 2*maxPause })
	maps.DeleteFunc(h.apart, func(id uuid.UUID, _ struct{}) bool { return !known(id) })
}

// inARow counts the failures in a row: whoever's, and those of each organization whose last call failed.
func (h *health) inARow() (failures int, failing map[uuid.UUID]int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, f := range h.failing {
		if id == uuid.Nil {
			continue
		}
		if failing == nil {
			failing = make(map[uuid.UUID]int)
		}
		failing[id] = f.Failures()
	}
	return h.failures, failing
}
