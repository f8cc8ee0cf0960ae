package lifecycle

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

// Validate returns what is wrong with a policy as an [*invalid.Error], nil if nothing is. The rules are the same for a
// policy that is created and one that replaces another: thresholds are off (0) or at least a minute, other durations are
// not negative.
func (p Policy) Validate() error {
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"Policy.FailureTTL", p.FailureTTL},
		{"Policy.TimeTilDormant", p.TimeTilDormant},
		{"Policy.TimeTilAutodelete", p.TimeTilAutodelete},
		{"Policy.ReminderLead", p.ReminderLead},
	} {
		if err := schedule.ValidateThreshold(f.name, f.value); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"Policy.DefaultTTL", p.DefaultTTL},
		{"Policy.ActivityBump", p.ActivityBump},
		{"Policy.MaxLateness", p.MaxLateness},
		{"Policy.Jitter", p.Jitter},
		{"Policy.Retry.Initial", p.Retry.Initial},
		{"Policy.Retry.MaxInterval", p.Retry.MaxInterval},
	} {
		if f.value < 0 {
			return invalid.New(f.name, f.value, "must not be negative")
		}
	}
	if p.Retry.Max < 0 {
		return invalid.New("Policy.Retry.Max", p.Retry.Max, "must not be negative")
	}
	if r := p.Retry.withDefaults(); r.Initial > r.MaxInterval {
		return invalid.New("Policy.Retry.Initial", r.Initial, "must not be longer than Retry.MaxInterval, %v", r.MaxInterval)
	}
	if err := p.AutostartDays.Validate(); err != nil {
		return invalid.As("Policy.AutostartDays", err)
	}
	return invalid.Within("Policy", p.Requirement.Validate())
}

// PolicyChange is a new policy for a template, and how it treats the workspaces that exist.
type PolicyChange struct {
	// At is the instant from which the graces count. [NewPolicyPlan] sets it.
	At time.Time `json:"at"`
	// Template is the template with its old policy. [NewPolicyPlan] sets it.
	Template Template `json:"template"`
	// Policy is the new policy.
	Policy Policy `json:"policy"`
	// ResetLastUsed makes all workspaces of the template count as used at At, so that a shorter dormancy threshold makes
	// none of them dormant at once.
	ResetLastUsed bool `json:"reset_last_used,omitempty"`
	// ResetDormant makes dormant workspaces count as dormant since At, so that their deletion counts from there.
	ResetDormant bool `json:"reset_dormant,omitempty"`
	// StopGrace is the least time from At to a stop that the change brings forward. Defaults to 2 hours.
	StopGrace time.Duration `json:"stop_grace,omitempty"`
	// DeleteGrace is the least time from At to a deletion that the change brings forward. Defaults to 24 hours.
	DeleteGrace time.Duration `json:"delete_grace,omitempty"`
}

func (c PolicyChange) withDefaults() PolicyChange {
	if c.StopGrace == 0 {
		c.StopGrace = 2 * time.Hour
	}
	if c.DeleteGrace == 0 {
		c.DeleteGrace = 24 * time.Hour
	}
	return c
}

// next is the template as it shall be. Its floors hold what has no instant of its own to move: dormancy and cleanup when
// they become stricter, and every deletion until each workspace has its new instant.
func (c *PolicyChange) next() Template {
	t := c.Template
	before, after := &t.Policy, &c.Policy
	if stricter(before.TimeTilDormant, after.TimeTilDormant) || stricter(before.FailureTTL, after.FailureTTL) ||
		before.Holidays.String() != after.Holidays.String() {
		t.StopFloor = micros.Later(t.StopFloor, micros.Of(c.At.Add(c.StopGrace)))
	}
	if before.TimeTilAutodelete != after.TimeTilAutodelete || c.ResetDormant || before.Holidays.String() != after.Holidays.String() {
		t.DeleteFloor = micros.Later(t.DeleteFloor, micros.Of(c.At.Add(c.DeleteGrace)))
	}
	t.Policy = c.Policy
	return t
}

// stricter reports whether a threshold, 0 for off, acts sooner than before.
func stricter(before, after time.Duration) bool {
	return after > 0 && (before == 0 || after < before)
}

// Move is how a policy change moves the instant at which a rule acts on one workspace. The zero time is never.
type Move struct {
	Rule Rule      `json:"rule"`
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// PlanPolicy returns what a policy change does to one workspace: the change of its row (ok is false if there is none) and
// the moves of its rules. It gives the same answer before and after the template itself has the new policy, and no further
// change when called on its own result.
//
// Only what depends on a changed value moves. A running workspace keeps its deadline unless a new autostop requirement
// caps it sooner or a TTL that is gone leaves it none; the requirement is computed from the original completion, so that
// saving a policy twice moves nothing. Whatever comes sooner than before leaves the grace of the change.
func PlanPolicy(s Snapshot, c PolicyChange) (change Change, moves []Move, ok bool) {
	c = c.withDefaults()
	before := s
	before.Template = c.Template
	e := edit(&s, c.At)
	e.s.Template = c.next()
	if !s.Workspace.Deleted && !s.Workspace.Managed {
		e.applyPolicy(&c, &before)
	}
	moves = movesBetween(&before, &e.s, e.now)
	ok = e.s.Workspace != s.Workspace || e.s.Build != s.Build
	return e.change(), moves, ok
}

// applyPolicy moves the stored values that depend on a changed one.
func (e *editor) applyPolicy(c *PolicyChange, before *Snapshot) {
	was, is, w := &before.Template.Policy, &e.s.Template.Policy, &e.s.Workspace
	if !is.AllowUserTTL && (was.AllowUserTTL || was.DefaultTTL != is.DefaultTTL) {
		w.TTL = is.DefaultTTL
	}
	if c.ResetLastUsed {
		w.LastUsedAt = micros.Later(w.LastUsedAt, e.now)
	}
	if dormant(&e.s) && (was.TimeTilAutodelete != is.TimeTilAutodelete || c.ResetDormant) {
		e.moveDeletion(c)
	}
	if b := &e.s.Build; b.Transition == TransitionStart && b.Status == JobSucceeded {
		e.moveDeadline(c, before)
	}
}

// moveDeletion moves the deletion of a dormant workspace.
func (e *editor) moveDeletion(c *PolicyChange) {
	w := &e.s.Workspace
	if c.ResetDormant {
		w.DormantAt = micros.Later(w.DormantAt, e.now)
	}
	old := w.DeletingAt
	w.DeletingAt = time.Time{}
	if d := e.s.Template.Policy.TimeTilAutodelete; d > 0 {
		w.DeletingAt = withGrace(w.DormantAt.Add(d), old, e.now.Add(c.DeleteGrace))
	}
	if !w.DeletingAt.Equal(old) {
		e.emit(Event{Kind: EventDeletionMoved, Until: w.DeletingAt}, TopicNotice, TopicAudit)
	}
}

// withGrace returns an instant, but one that comes sooner than the old one not before the grace has passed.
func withGrace(at, old, grace time.Time) time.Time {
	if sooner := old.IsZero() || at.Before(old); !sooner || !at.Before(grace) {
		return at
	}
	return micros.Earlier(old, grace)
}

// moveDeadline moves the deadlines of a running workspace.
func (e *editor) moveDeadline(c *PolicyChange, before *Snapshot) {
	b := &e.s.Build
	if before.Template.Policy.Requirement != e.s.Template.Policy.Requirement {
		e.moveCap(c)
	}
	if ttl(before) > 0 && ttl(&e.s) == 0 {
		b.Deadline = b.MaxDeadline
	}
	if b.Deadline.IsZero() {
		return
	}
	// A stop may come sooner for other reasons than its deadline: holidays that are gone no longer hold it.
	was, stop := actsAt(RuleAutostop, before, e.now), actsAt(RuleAutostop, &e.s, e.now)
	if act := withGrace(stop, was, e.now.Add(c.StopGrace)); !stop.IsZero() && !act.Equal(stop) {
		b.Deadline = act.Add(-jitter(&e.s))
		if !b.MaxDeadline.IsZero() {
			b.MaxDeadline = micros.Later(b.MaxDeadline, b.Deadline)
		}
	}
}

// moveCap computes the cap of the autostop requirement anew. A stop that is imminent anyway is left alone.
func (e *editor) moveCap(c *PolicyChange) {
	b := &e.s.Build
	grace := micros.Of(e.now.Add(c.StopGrace))
	if !b.MaxDeadline.IsZero() && b.MaxDeadline.Before(grace) {
		return
	}
	d, err := deadlines(&e.s)
	if err != nil {
		return // the requirement cannot be met, so it caps nothing; the next start says so
	}
	b.MaxDeadline = d.MaxDeadline
	if b.MaxDeadline.IsZero() {
		return
	}
	b.MaxDeadline = micros.Later(b.MaxDeadline, grace)
	if b.Deadline.IsZero() {
		b.Deadline = b.MaxDeadline
	}
	b.Deadline = capped(b.Deadline, b.MaxDeadline)
}

// movesBetween lists the rules that act at another instant.
func movesBetween(before, after *Snapshot, now time.Time) []Move {
	var moves []Move
	for r := RuleNone + 1; r < ruleEnd; r++ {
		from, to := actsAt(r, before, now), actsAt(r, after, now)
		if !from.Equal(to) {
			moves = append(moves, Move{Rule: r, From: from, To: to})
		}
	}
	return moves
}
