package prewarm

import (
	"maps"
	"slices"
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
	// index is where Member was in the list.
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

type planner struct {
	spec    Spec
	members []Member
	now     time.Time
	d       Decision
	// Indexes of the members that stay so far.
	ready, pending, oldReady, oldPending, affine, quarantined []int
	// doubtful are members that were not cleaned in time.
	doubtful []int
	// labels are what reserves miss.
	labels []string
}

func (p *planner) act(kind ActionKind, i int, why Reason) {
	p.d.Actions = append(p.d.Actions, Action{Kind: kind, Member: p.members[i].ID, index: i, Reason: why})
}

// wake notes an instant at which the answer changes.
func (p *planner) wake(at time.Time) { p.d.Next = micros.Earlier(p.d.Next, at) }

// sort ends what is due and puts the rest where it belongs.
func (p *planner) sort() {
	for i := range p.members {
		m := &p.members[i]
		if m.due(p.now) {
			p.expire(i, m)
			continue
		}
		p.wake(m.Deadline)
		p.count(i, m)
	}
}

func (p *planner) expire(i int, m *Member) {
	switch {
	case m.State == Gone:
		p.act(ActionForget, i, ReasonForgotten)
		return
	case m.State == Cleaning && p.spec.Quarantine > 0:
		p.doubtful = append(p.doubtful, i)
		return
	case m.State == Deleting:
		p.d.Counts.Deleting++
	}
	p.act(ActionDestroy, i, p.spec.overdue(m))
}

// overdue says what it means that a member's deadline has passed.
func (s *Spec) overdue(m *Member) Reason {
	switch m.State {
	case Starting:
		return ReasonNotReady
	case Held:
		return ReasonHeldTooLong
	case Cleaning:
		return ReasonUnclean
	case Quarantined:
		return ReasonQuarantine
	case Deleting:
		return ReasonUndestroyed
	case Claimed:
		if m.Claim.Until.Equal(m.Deadline) {
			return ReasonClaimOver
		}
		return ReasonInactive
	}
	if m.Deadline.Equal(s.endOfAge(m)) {
		return ReasonAge
	}
	return ReasonIdle
}

func (p *planner) count(i int, m *Member) {
	c := &p.d.Counts
	switch {
	case m.cold():
		c.Cold++
	case m.State == Claimed:
		c.Claimed++
	case m.State == Deleting:
		c.Deleting++
	case m.State == Quarantined:
		p.quarantined = append(p.quarantined, i)
		c.Quarantined++
	case m.State == Gone:
	case m.Version != p.spec.Version:
		p.countOld(i, m)
	case forOwner(m):
		p.affine = append(p.affine, i)
		c.Affine++
	case m.State == Ready:
		p.ready = append(p.ready, i)
		c.Ready++
	default:
		p.pending = append(p.pending, i)
		c.pend(m.State)
	}
}

func (p *planner) countOld(i int, m *Member) {
	p.d.Counts.Old++
	if m.State == Ready {
		p.oldReady = append(p.oldReady, i)
		p.d.Counts.OldReady++
		return
	}
	p.oldPending = append(p.oldPending, i)
}

func (c *Counts) pend(s State) {
	switch s {
	case Held:
		c.Held++
	case Cleaning:
		c.Cleaning++
	default:
		c.Starting++
	}
}

// quarantine keeps as many as the spec allows: a pool whose every return is doubtful must not fill the backend.
func (p *planner) quarantine() {
	excess := max(0, len(p.quarantined)-p.spec.MaxQuarantined)
	for _, i := range p.first(p.quarantined, excess) {
		p.act(ActionDestroy, i, ReasonQuarantine)
	}
	room := max(0, p.spec.MaxQuarantined-len(p.quarantined))
	gone := p.first(p.doubtful, max(0, len(p.doubtful)-room))
	for _, i := range gone {
		p.act(ActionDestroy, i, ReasonUnclean)
	}
	for _, i := range p.doubtful[len(gone):] {
		p.act(ActionQuarantine, i, ReasonUnclean)
	}
}

// frozen says why nothing is created.
func (p *planner) frozen() {
	if len(p.ready)+len(p.pending) >= p.d.Target.Size {
		return
	}
	p.d.Blocked = BlockedPaused
	if p.spec.Err != nil {
		p.d.Blocked = BlockedSpec
	}
}

// surge is how many members beyond the size there is room for.
func (p *planner) surge() int {
	return min(p.spec.Rollover.surge(), p.spec.Ceiling-p.d.Target.Size)
}

// removeOld removes members of other versions: those not ready at once, because they would be stale when they are, and
// the ready ones as new ones take their places.
func (p *planner) removeOld() {
	for _, i := range p.oldPending {
		p.act(ActionDestroy, i, ReasonRollover)
	}
	removable := len(p.oldReady)
	if !p.spec.Rollover.AtOnce {
		unavailable := p.spec.Rollover.MaxUnavailable
		if p.surge() == 0 {
			unavailable = max(1, unavailable)
		}
		keep := max(0, p.d.Target.Size-unavailable)
		removable = min(removable, max(0, len(p.ready)+len(p.oldReady)-keep))
	}
	gone := p.first(p.oldReady, removable)
	for _, i := range gone {
		p.act(ActionDestroy, i, ReasonRollover)
	}
	p.oldReady = p.oldReady[len(gone):]
}

// removeExcess removes what is more than what is kept, and reused members with an owner of their own where they would take
// the room of what everybody may claim.
func (p *planner) removeExcess() {
	free := p.spec.Ceiling - max(p.d.Target.Size, min(p.d.Target.Keep, len(p.ready)+len(p.pending)))
	if len(p.oldReady) > 0 {
		free -= p.surge()
	}
	p.affine = p.drop(p.affine, len(p.affine)-free)
	p.pending = p.drop(p.pending, len(p.ready)+len(p.pending)-p.d.Target.Keep)
	p.ready = p.drop(p.ready, len(p.ready)+len(p.pending)-p.d.Target.Keep)
	p.pending = p.drop(p.pending, p.size()-p.spec.Ceiling)
}

// size is the number of unclaimed members that stay.
func (p *planner) size() int {
	return len(p.ready) + len(p.pending) + len(p.oldReady) + len(p.affine)
}

// drop removes up to n of the list, and returns the rest.
func (p *planner) drop(list []int, n int) []int {
	n = min(max(n, 0), len(list))
	for _, i := range p.first(list, n) {
		p.act(ActionDestroy, i, ReasonExcess)
	}
	return list[n:]
}

// first moves the n members that go first to the front of the list, and returns them.
func (p *planner) first(list []int, n int) []int {
	selectFirst(list, n, func(i, j int) bool { return goesBefore(&p.members[i], &p.members[j]) })
	return list[:n]
}

// goesBefore orders members of the same standing: the shortest life left, then the oldest; among those not ready, the
// youngest, which has the longest way to go. The id breaks ties, so that every replica chooses alike.
func goesBefore(a, b *Member) bool {
	if a.State == Ready && !a.Deadline.Equal(b.Deadline) {
		return !a.Deadline.IsZero() && (b.Deadline.IsZero() || a.Deadline.Before(b.Deadline))
	}
	if !a.CreatedAt.Equal(b.CreatedAt) {
		return a.CreatedAt.Before(b.CreatedAt) == (a.State == Ready)
	}
	return slices.Compare(a.ID[:], b.ID[:]) < 0
}

// reserve labels members for tenants, and takes labels away that are too many. It labels ready ones first.
func (p *planner) reserve() {
	if len(p.spec.Reserves) == 0 && !p.labelled() {
		return
	}
	missing := make(map[string]int, len(p.spec.Reserves))
	for tenant, n := range p.spec.Reserves {
		missing[ForTenant(tenant)] = n
	}
	var free []int
	for _, i := range slices.Concat(p.ready, p.pending) {
		switch label := p.members[i].For; {
		case missing[label] > 0:
			missing[label]--
		default:
			free = append(free, i)
		}
	}
	p.label(free, missing)
}

func (p *planner) labelled() bool {
	has := func(i int) bool { return p.members[i].For != "" }
	return slices.ContainsFunc(p.ready, has) || slices.ContainsFunc(p.pending, has)
}

// label gives the free members the labels that are missing, and the others none. Labels that are left are for members
// that are created.
func (p *planner) label(free []int, missing map[string]int) {
	for _, label := range slices.Sorted(maps.Keys(missing)) {
		p.labels = append(p.labels, slices.Repeat([]string{label}, missing[label])...)
	}
	for _, i := range free {
		label, why := p.nextLabel(), ReasonRelease
		if label != "" {
			why = ReasonReserve
		}
		if label != p.members[i].For {
			p.act(ActionLabel, i, why)
			p.d.Actions[len(p.d.Actions)-1].For = label
		}
	}
}

func (p *planner) nextLabel() string {
	if len(p.labels) == 0 {
		return ""
	}
	label := p.labels[0]
	p.labels = p.labels[1:]
	return label
}

// create asks for what is missing, within every bound.
func (p *planner) create(failures Failures) {
	missing := p.d.Target.Size - len(p.ready) - len(p.pending)
	if missing <= 0 {
		return
	}
	allowed := p.allowed(missing, failures)
	why := ReasonBelowTarget
	switch {
	case p.d.Blocked == BlockedProbing:
		why = ReasonProbe
	case len(p.oldReady) > 0:
		why = ReasonRollover
	}
	for range allowed {
		p.d.Actions = append(p.d.Actions, Action{Kind: ActionCreate, Reason: why, For: p.nextLabel(), index: -1})
	}
}

// allowed is how many of the missing may be created now. It notes the bound that is met.
func (p *planner) allowed(missing int, failures Failures) int {
	n := missing
	bound := func(limit int, why Blocked) {
		if limit < n {
			n, p.d.Blocked = max(0, limit), why
		}
	}
	bound(p.spec.Ceiling-p.size(), BlockedCeiling)
	if len(p.oldReady) > 0 {
		bound(p.d.Target.Size+p.surge()+len(p.affine)-p.size(), BlockedRollover)
	}
	bound(p.spec.MaxStarting-len(p.pending), BlockedConcurrency)
	if failures.Open(p.spec.Retry) {
		if n > 0 {
			p.d.Blocked = BlockedProbing
		}
		n = min(n, max(0, 1-len(p.pending)))
	}
	if until := failures.Until(p.spec.Retry); until.After(p.now) {
		p.d.Blocked, p.d.Until = BlockedBackoff, until
		p.wake(until)
		return 0
	}
	return n
}

// Alerts reports whether the share of ready members is below a threshold between 0 and 1: a pool that should have been
// filled and is not. A size of zero never alerts.
func (d Decision) Alerts(threshold float64) bool {
	ready := d.Counts.Ready + d.Counts.OldReady
	return float64(ready) < threshold*float64(d.Target.Size-d.Target.Waiting)
}
