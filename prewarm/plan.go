package prewarm

import (
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
)

// Decision is what [Plan] says about a pool.
type Decision struct {
	Target Target
	Counts Counts
	// Actions are to be carried out in any order.
	Actions []Action
	// Blocked says why members that are missing are not created, BlockedNone if none are missing.
	Blocked Blocked
	// Until is when a creation that waits for a back-off may be tried, zero otherwise.
	Until time.Time
	// Next is the earliest instant at which a deadline or a back-off changes the answer, zero for never. Windows and
	// forecasts may change it sooner.
	Next time.Time
}

// Action is one thing to do.
type Action struct {
	Kind ActionKind
	// Member is the one to act on, uuid.Nil for a creation.
	Member uuid.UUID
	// index is where Member was in the list; a creation has none.
	index  int
	Reason Reason
	// For is the restriction of a member that is created or labelled.
	For string
}

// ActionKind is what an action does.
type ActionKind uint8

// The kinds.
const (
	// ActionCreate has a member built.
	ActionCreate ActionKind = iota
	// ActionDestroy has a member destroyed, or tries that again.
	ActionDestroy
	// ActionLabel changes who may claim a member.
	ActionLabel
	// ActionQuarantine keeps a member for a person to look at.
	ActionQuarantine
	// ActionForget removes a tombstone.
	ActionForget
)

var actionNames = [...]string{"create", "destroy", "label", "quarantine", "forget"}

// String returns the name in lower case.
func (k ActionKind) String() string { return actionNames[k] }

// Counts are the members of a pool by what they are to it.
type Counts struct {
	// Ready, Starting, Held and Cleaning are unclaimed members of the wanted version.
	Ready, Starting, Held, Cleaning int
	// Old are unclaimed members of another version, OldReady those of them that are ready.
	Old, OldReady int
	// Affine are members that only the owner of their last use may claim. The size does not count them.
	Affine int
	// Claimed have an owner. Cold are being built for one.
	Claimed, Cold         int
	Quarantined, Deleting int
}

// pending are those that will be ready.
func (c Counts) pending() int { return c.Starting + c.Held + c.Cleaning }

// Blocked says why missing members are not created. It is a closed set.
type Blocked string

// What blocks creations.
const (
	BlockedNone        Blocked = ""
	BlockedPaused      Blocked = "paused"
	BlockedSpec        Blocked = "unreadable_spec"
	BlockedBackoff     Blocked = "backoff"
	BlockedProbing     Blocked = "probing"
	BlockedConcurrency Blocked = "max_starting"
	BlockedRollover    Blocked = "rollover"
	BlockedCeiling     Blocked = "ceiling"
)

// Plan decides what is to be done about a pool, with a reason for each action: what has expired goes, old versions are
// replaced, what is too much goes, reserves are filled, and what is missing is created. It is deterministic, never asks
// for more unclaimed members than the ceiling, and takes time linear in the number of members.
//
// Members may leave out the claimed ones and tombstones that are not due. What is in flight is among the members, as
// starting ones, so that it is counted by construction.
//
// Of too many, members go in this order: those not ready, those of an old version, those with the shortest life left,
// the oldest. So a ready one never goes while one that is not ready stays.
func Plan(spec Spec, members []Member, failures Failures, now time.Time) Decision {
	p := planner{spec: spec.withDefaults(), members: members, now: micros.Of(now)}
	p.d.Target = p.spec.target(p.now)
	p.sort()
	p.quarantine()
	if p.spec.Paused || p.spec.Err != nil {
		p.frozen()
		return p.d
	}
	p.removeOld()
	p.removeExcess()
	p.reserve()
	p.create(failures.of(p.spec.Version))
	return p.d
}

// Alerts reports whether the share of ready members is below a threshold between 0 and 1: a pool that should have been
// filled and is not. A size of zero never alerts.
func (d Decision) Alerts(threshold float64) bool {
	ready := d.Counts.Ready + d.Counts.OldReady
	return float64(ready) < threshold*float64(d.Target.Size-d.Target.Waiting)
}
