package prewarm

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
)

// Status is what a backend says of a resource.
type Status uint8

// The statuses. StatusUnknown, the zero value, changes nothing.
const (
	StatusUnknown Status = iota
	// StatusStarting: it is being built, or begins anew.
	StatusStarting
	// StatusHeld: it waits for quota or admission.
	StatusHeld
	// StatusReady: it can be used.
	StatusReady
	// StatusStopped: it has ended, for good.
	StatusStopped
)

var statusNames = [...]string{"unknown", "starting", "held", "ready", "stopped"}

// String returns the name in lower case.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status(%d)", uint8(s))
}

// Event is what a backend says of one resource, in a listing or as it happens.
type Event struct {
	// Resource is [Member.Resource] of the member it was created for.
	Resource uuid.UUID
	// Generation is the incarnation of the resource, which rises when it is restarted or moved. An event of an earlier
	// one than was seen is stale and dropped. A backend without incarnations leaves it 0.
	Generation int64
	Status     Status
	Message    string
}

// nonsense says what is wrong with an event, "" for nothing.
func (e Event) nonsense() string {
	switch {
	case e.Generation < 0:
		return fmt.Sprintf("the backend says generation %d", e.Generation)
	case e.Status > StatusStopped:
		return fmt.Sprintf("the backend says %s", e.Status)
	}
	return ""
}

// Observe returns the member after an event, and whether that changes it. It may be called with events that are stale,
// doubled or late: within a generation a member goes from starting over ready to its end and never back, and an event
// of an earlier generation changes nothing. A claimed member stays claimed, whatever happens, until its resource has
// ended for good.
func Observe(spec Spec, m Member, e Event, now time.Time) (Member, bool) {
	spec, now = spec.withDefaults(), micros.Of(now)
	if m.State >= Deleting {
		return m, false
	}
	if what := e.nonsense(); what != "" {
		return m.doubted(spec, what, now)
	}
	if e.Status == StatusUnknown || e.Generation < m.Generation {
		return m, false
	}
	renewed := e.Generation > m.Generation
	seen := m
	seen.Generation, seen.Misses = e.Generation, 0
	next := seen.observed(spec, e, renewed, now)
	return next, next != m
}

// doubted puts a member aside of which the backend says what cannot be. Whoever has it keeps it.
func (m Member) doubted(spec Spec, what string, now time.Time) (Member, bool) {
	if !m.pooled() {
		return m, false
	}
	return m.quarantined(spec, ReasonDoubt, what, now), true
}

func (m Member) observed(spec Spec, e Event, renewed bool, now time.Time) Member {
	switch {
	case e.Status == StatusStopped:
		m.Message = e.Message
		return m.destroyed(spec, ReasonStopped, now)
	case e.Status == StatusReady && (m.State == Starting || m.State == Held):
		return m.ready(spec, now)
	case e.Status == StatusHeld && m.State == Starting:
		m.Message = e.Message
		return m.to(Held, ReasonHeld, after(now, spec.HeldTimeout))
	case e.Status == StatusStarting && m.State == Held, e.Status != StatusReady && m.State == Ready && renewed:
		m.Message = e.Message
		return m.to(Starting, ReasonRestarted, now.Add(spec.ReadyTimeout))
	}
	return m
}

// maxMisses is how many complete listings in a row must miss a claimed member's resource before it counts as lost. One
// may be a mistake of the backend, and somebody's work hangs on it.
const maxMisses = 2

// Missed returns the member after a complete listing, begun at an instant, that did not show its resource, and whether
// that changes it. A ready member cannot be claimed until it is seen again, or is destroyed at its readiness deadline; a
// claimed one is lost at the second listing in a row; [Pool] counts two only if they are a minute apart. A listing that failed is no
// listing: it says nothing.
func Missed(spec Spec, m Member, listed, now time.Time) (Member, bool) {
	spec, now = spec.withDefaults(), micros.Of(now)
	if !m.CreatedAt.Before(listed) || !m.ReadyAt.Before(listed) {
		return m, false
	}
	switch m.State {
	case Ready:
		m.Misses++
		return m.to(Starting, ReasonLost, now.Add(spec.ReadyTimeout)), true
	case Claimed:
		if m.Misses++; m.Misses >= maxMisses {
			return m.destroyed(spec, ReasonLost, now), true
		}
		return m, true
	}
	return m, false // it has a deadline for being seen, or nobody waits for it
}

// Reconcile returns the members that a complete listing changes, and the resources in it that belong to no member. The
// listing must have been taken, from the instant listed on, before the members were read, and the members must be all
// that are not Gone; so a resource without a member was there before any member that could be missing.
func Reconcile(spec Spec, members []Member, listing []Event, listed, now time.Time) (changed []Member, orphans []Event) {
	latest := latest(listing)
	for _, m := range members {
		if m.State == Gone {
			continue
		}
		e, present := latest[m.Resource]
		delete(latest, m.Resource)
		next, ok := Missed(spec, m, listed, now)
		if present {
			next, ok = Observe(spec, m, e, now)
		}
		if ok {
			changed = append(changed, next)
		}
	}
	for _, e := range listing {
		if _, ok := latest[e.Resource]; ok && e.Status != StatusUnknown {
			orphans = append(orphans, e)
			delete(latest, e.Resource)
		}
	}
	return changed, orphans
}

// latest returns what a listing says of each resource: the highest generation. Of two that contradict each other it
// keeps what cannot be, so that the member is put aside.
func latest(listing []Event) map[uuid.UUID]Event {
	found := make(map[uuid.UUID]Event, len(listing))
	for _, e := range listing {
		old, ok := found[e.Resource]
		switch {
		case !ok || e.Generation > old.Generation:
			found[e.Resource] = e
		case e.Generation == old.Generation && e.Status != old.Status:
			old.Status = StatusStopped + 1
			found[e.Resource] = old
		}
	}
	return found
}

// BuildTime returns how long members of a version took to become ready, on average, and false if none of them did.
// Members of reused resources are left out.
func BuildTime(members []Member, version string) (time.Duration, bool) {
	var sum time.Duration
	n := 0
	for i := range members {
		m := &members[i]
		if m.Version == version && m.Uses == 0 && m.ReadyAt.After(m.CreatedAt) {
			sum += m.ReadyAt.Sub(m.CreatedAt)
			n++
		}
	}
	if n == 0 {
		return 0, false
	}
	return sum / time.Duration(n), true
}
