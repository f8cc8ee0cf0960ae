package prewarm

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
)

// Member is one thing of a pool, from the decision to create it until after it is gone. It is a plain value. All
// instants are UTC with microsecond precision; the zero time means "not set".
//
// A member has at most one claim in its life. What is returned, cleaned and used again goes on as another member with
// the same Resource; so a claim's key never leads to somebody else's use.
type Member struct {
	ID   uuid.UUID
	Pool string
	// Version is what the member was built from.
	Version string
	// Revision counts the writes of this row, 0 before the first. A write names the revision it was computed from.
	Revision int64
	State    State
	// Resource is what the backend built, under the id of the first member that it was built for.
	Resource uuid.UUID
	// Generation is the incarnation of the resource that was seen last. Events of an earlier one are stale.
	Generation int64
	// Uses counts the claims of the resource before this member.
	Uses int
	// For restricts who may claim the member: "" is everybody, else see [ForTenant] and [ForOwner].
	For string
	// CreatedAt is when the resource was asked for, ReadyAt when this member became ready.
	CreatedAt, ReadyAt time.Time
	// Deadline is when the state ends by itself, zero for never: the readiness deadline of a member that starts, the
	// end of life of a ready one, the end of a claim, the next attempt to destroy, the end of a tombstone.
	Deadline time.Time
	// Attempts counts the attempts to destroy, Misses the complete listings in a row that did not show the resource.
	Attempts, Misses int
	// Reason is why the member is in its state.
	Reason Reason
	// Message is the reason in the words of whoever caused it.
	Message string
	// Claim is who has the member. It stays after the end, so that a late repetition of its key is recognized.
	Claim Claim
}

// Claim is the right to one member.
type Claim struct {
	// Key makes a claim repeatable: the same key gets the same member. It is unique in a pool; "" is no claim.
	Key string
	// Owner has the member, Tenant is the group that fairness and reserves count. No rule reads more into them.
	Owner, Tenant string
	// Details are what the backend needs to hand the member over, in its own words; at most 4096 bytes. No rule reads them.
	Details string
	// At is when the claim was made.
	At time.Time
	// IdleTimeout is how long the claim lasts without activity, 0 for as long as Until says.
	IdleTimeout time.Duration
	// Until ends the claim whatever its activity, zero for never.
	Until time.Time
}

// Deadline returns when the claim ends if the last activity was at an instant, zero for never.
func (c Claim) Deadline(active time.Time) time.Time {
	if c.IdleTimeout == 0 {
		return c.Until
	}
	return micros.Earlier(micros.Of(active.Add(c.IdleTimeout)), c.Until)
}

// State is where a member is in its life.
type State uint8

// The states.
const (
	// Starting: the backend was asked to build it. With a claim it is built for that claim alone (a cold one).
	Starting State = iota
	// Held: the backend waits for something that is no failure, such as quota or admission. It has a clock of its own.
	Held
	// Ready: it can be claimed.
	Ready
	// Claimed: somebody has it.
	Claimed
	// Cleaning: it was returned and is prepared for another use.
	Cleaning
	// Quarantined: nobody may have it until a person has looked or the time for that is over.
	Quarantined
	// Deleting: the backend is asked to destroy it until it has.
	Deleting
	// Gone: nothing is left but the row, which remembers the claim for a while.
	Gone
)

var stateNames = [...]string{"starting", "held", "ready", "claimed", "cleaning", "quarantined", "deleting", "gone"}

// States lists every state.
func States() []State {
	return []State{Starting, Held, Ready, Claimed, Cleaning, Quarantined, Deleting, Gone}
}

// String returns the name in lower case.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) {
	if int(s) >= len(stateNames) {
		return nil, fmt.Errorf("unknown member state %d", s)
	}
	return []byte(stateNames[s]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *State) UnmarshalText(b []byte) error {
	for i, name := range stateNames {
		if name == string(b) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("unknown member state %q", b)
}

// ForTenant returns the restriction to a tenant's claims, which reserves use.
func ForTenant(tenant string) string { return "tenant:" + tenant }

// ForOwner returns the restriction to an owner's claims, which reuse with affinity uses.
func ForOwner(owner string) string { return "owner:" + owner }

func forOwner(m *Member) bool { return len(m.For) >= 6 && m.For[:6] == "owner:" }

// cold reports whether the member is built for one claim and was never the pool's.
func (m *Member) cold() bool { return m.Claim.Key != "" && m.State != Claimed && m.pooled() }

// pooled reports whether the state is one of those that the pool's size counts.
func (m *Member) pooled() bool { return m.State <= Ready || m.State == Cleaning }

// due reports whether the state has ended by itself.
func (m *Member) due(now time.Time) bool { return !m.Deadline.IsZero() && !m.Deadline.After(now) }

// NewMember returns a member that shall be built, with its readiness deadline.
func NewMember(spec Spec, id uuid.UUID, why Reason, now time.Time) Member {
	spec, now = spec.withDefaults(), micros.Of(now)
	return Member{
		ID: id, Resource: id, Pool: spec.Name, Version: spec.Version, State: Starting,
		CreatedAt: now, Deadline: now.Add(spec.ReadyTimeout), Reason: why,
	}
}

// to returns the member in another state.
func (m Member) to(s State, why Reason, deadline time.Time) Member {
	m.State, m.Reason, m.Deadline = s, why, deadline
	return m
}

// ready returns the member as it is when its resource can be used: ready, or claimed if it was built for a claim. Its life
// counts from the first time, however often it is missed or restarted.
func (m Member) ready(spec Spec, now time.Time) Member {
	m.Misses, m.Message = 0, ""
	if m.ReadyAt.IsZero() {
		m.ReadyAt = now
	}
	if m.Claim.Key != "" {
		return m.to(Claimed, ReasonCold, m.Claim.Deadline(now))
	}
	return m.to(Ready, ReasonReady, spec.expiry(&m))
}

// destroyed returns the member on its way out; the deadline is the next attempt.
func (m Member) destroyed(spec Spec, why Reason, now time.Time) Member {
	if m.State == Deleting {
		why = m.Reason // what it goes for, not that it takes long
	} else {
		m.Attempts = 0
	}
	m = m.to(Deleting, why, now.Add(spec.DestroyTimeout))
	m.For = ""
	return m
}

// gone returns the tombstone, which lasts only if there is a claim to remember.
func (m Member) gone(spec Spec, why Reason, now time.Time) Member {
	until := now
	if m.Claim.Key != "" {
		until = now.Add(spec.Remember)
	}
	m = m.to(Gone, why, until)
	m.For = ""
	return m
}

// Reason says why something was done or is as it is. It is a closed set: it labels metrics.
type Reason string

// The reasons.
const (
	ReasonBelowTarget  Reason = "below_target"      // fewer members than wanted
	ReasonRollover     Reason = "rollover"          // of another version than wanted
	ReasonProbe        Reason = "probe"             // one attempt after failures
	ReasonCold         Reason = "cold"              // for one claim that found the pool empty
	ReasonReady        Reason = "ready"             // the backend says so
	ReasonRestarted    Reason = "restarted"         // the resource begins anew
	ReasonHeld         Reason = "held"              // waits for quota or admission
	ReasonExcess       Reason = "excess"            // more members than wanted
	ReasonIdle         Reason = "idle_life"         // unclaimed for too long
	ReasonAge          Reason = "max_age"           // too old
	ReasonNotReady     Reason = "not_ready_in_time" // the readiness deadline passed
	ReasonHeldTooLong  Reason = "held_too_long"     // the time for being held passed
	ReasonInactive     Reason = "inactive"          // a claim without activity
	ReasonClaimOver    Reason = "claim_over"        // a claim at its latest end
	ReasonReturned     Reason = "returned"          // given back
	ReasonReused       Reason = "reused"            // given back, cleaned and verified
	ReasonUnclean      Reason = "unclean"           // could not be cleaned
	ReasonDoubt        Reason = "doubt"             // nobody knows whether it is clean, or the backend says nonsense
	ReasonQuarantine   Reason = "quarantine_over"   // long enough in quarantine, or too many there
	ReasonUndestroyed  Reason = "destroy_again"     // an attempt to destroy did not end well
	ReasonStopped      Reason = "stopped"           // the resource ended by itself
	ReasonLost         Reason = "lost"              // the backend does not know it
	ReasonReserve      Reason = "reserve"           // kept for a tenant
	ReasonRelease      Reason = "release"           // no longer kept for a tenant
	ReasonForgotten    Reason = "forgotten"         // the tombstone is old enough
	ReasonAbandoned    Reason = "abandoned"         // the claimer left before it had the member
	ReasonCreateFailed Reason = "create_failed"     // the backend refused to build it
	ReasonOrphan       Reason = "orphan"            // the backend has it, the store does not know it
)
