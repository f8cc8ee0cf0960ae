package prewarm

import (
	"maps"
	"slices"
)

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
	p.ready = p.drop(p.ready, len(p.ready)-p.d.Target.Keep) // while some are pending, none is too many
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
		p.d.Actions = append(p.d.Actions, Action{Kind: ActionCreate, Reason: why, For: p.nextLabel()})
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
	bound(p.d.Target.Size+p.surge()+len(p.affine)-p.size(), BlockedRollover) // met only while old ones are there
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
