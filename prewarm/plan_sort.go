package prewarm

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
)

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
