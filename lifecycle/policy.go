package lifecycle

import (
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/internal/unread"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

// Validate returns what is wrong with a policy as an [*invalid.Error], nil if nothing is. The rules are the same for a
// policy that is created and one that replaces another: thresholds are off (0) or at least a minute, no duration is
// negative or longer than a hundred years, and a TTL is at most 30 days.
func (p Policy) Validate() error {
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"Policy.FailureTTL", p.FailureTTL},
		{"Policy.TimeTilDormant", p.TimeTilDormant},
		{"Policy.TimeTilAutodelete", p.TimeTilAutodelete},
		{"Policy.ReminderLead", p.ReminderLead},
		{"Policy.MaxLateness", p.MaxLateness},
		{"Policy.MinExtend", p.MinExtend},
		{"Policy.MaxRuntime", p.MaxRuntime},
		{"Policy.DeleteStopped", p.DeleteStopped},
	} {
		if err := schedule.ValidateThreshold(f.name, f.value); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"Policy.FailureTTL", p.FailureTTL},
		{"Policy.TimeTilDormant", p.TimeTilDormant},
		{"Policy.TimeTilAutodelete", p.TimeTilAutodelete},
		{"Policy.ReminderLead", p.ReminderLead},
		{"Policy.MaxLateness", p.MaxLateness},
		{"Policy.MinExtend", p.MinExtend},
		{"Policy.MaxRuntime", p.MaxRuntime},
		{"Policy.DeleteStopped", p.DeleteStopped},
		{"Policy.ActivityBump", p.ActivityBump},
		{"Policy.Jitter", p.Jitter},
		{"Policy.Retry.Initial", p.Retry.Initial},
		{"Policy.Retry.MaxInterval", p.Retry.MaxInterval},
		{"Policy.StartRetry.Initial", p.StartRetry.Initial},
		{"Policy.StartRetry.MaxInterval", p.StartRetry.MaxInterval},
	} {
		if err := validSpan(f.name, f.value); err != nil {
			return err
		}
	}
	return p.validateRest()
}

// Equal reports whether two policies say the same. Holidays are equal if their texts are, whoever parsed them, which == does
// not see; no holidays are equal to an empty list. A value that is left out differs from its default written out.
func (p Policy) Equal(other Policy) bool {
	same := p.Holidays.String() == other.Holidays.String()
	p.Holidays, other.Holidays = nil, nil
	return same && p == other
}

func (p *Policy) validateRest() error {
	if err := validTTL("Policy.DefaultTTL", p.DefaultTTL); err != nil {
		return err
	}
	switch r := p.Retry.withDefaults(); {
	case p.Retry.Max < 0:
		return invalid.New("Policy.Retry.Max", p.Retry.Max, "must not be negative")
	case r.Initial > r.MaxInterval:
		return invalid.New("Policy.Retry.Initial", r.Initial, "must not be longer than Retry.MaxInterval, %v", r.MaxInterval)
	}
	switch r := p.StartRetry.withDefaults(); {
	case p.StartRetry.Max < 0:
		return invalid.New("Policy.StartRetry.Max", p.StartRetry.Max, "must not be negative")
	case r.Initial > r.MaxInterval:
		return invalid.New("Policy.StartRetry.Initial", r.Initial, "must not be longer than StartRetry.MaxInterval, %v", r.MaxInterval)
	case p.HolidaysHold > HoldAll:
		return invalid.New("Policy.HolidaysHold", uint8(p.HolidaysHold), "must be a set of %s", strings.Join(holdNames[:], ", "))
	}
	if err := p.AutostartDays.Validate(); err != nil {
		return invalid.As("Policy.AutostartDays", err)
	}
	if err := p.Holidays.Err(); err != nil {
		return invalid.New("Policy.Holidays", p.Holidays.String(), "must be readable: %v", err)
	}
	return invalid.Within("Policy", p.Requirement.Validate())
}

// validTTL refuses a run time that is neither off nor in the range of all TTLs.
func validTTL(field string, ttl time.Duration) error {
	if !ttlAllowed(ttl) {
		return invalid.New(field, ttl, "must be 0 (off) or between %v and %v", schedule.MinTTL, schedule.MaxTTL)
	}
	return nil
}

func ttlAllowed(ttl time.Duration) bool {
	return ttl == 0 || ttl >= schedule.MinTTL && ttl <= schedule.MaxTTL
}

// PolicyChange is a new policy for a template, and how it treats the workspaces that exist.
type PolicyChange struct {
	// At is when the change was planned. [NewPolicyPlan] sets it.
	At time.Time `json:"planned_at"`
	// Template is the template with its old policy. [NewPolicyPlan] sets it.
	Template Template `json:"template"`
	// Policy is the new policy.
	Policy Policy `json:"policy"`
	// PolicyTerms say how it treats the workspaces that exist; the graces count from the commit that changes each of them.
	// [NewPolicyPlan] sets their At.
	PolicyTerms
}

// Validate refuses terms that are no grace, or one without bounds.
func (t PolicyTerms) Validate() error {
	if err := validInstant("PolicyTerms.At", t.At); err != nil {
		return err
	}
	if err := validSpan("PolicyTerms.StopGrace", t.StopGrace); err != nil {
		return err
	}
	return validSpan("PolicyTerms.DeleteGrace", t.DeleteGrace)
}

// stored are the terms as they are kept, without what was not read of others, which they may be a copy of.
func (t PolicyTerms) stored() PolicyTerms {
	t.At, t.unread = micros.Of(t.At), unread.Rest{}
	return t
}

// inPlaceOf are the terms as they are kept where old were: old themselves if they say the same.
func (t PolicyTerms) inPlaceOf(old PolicyTerms) PolicyTerms {
	if t = t.stored(); t == old.stored() {
		return old
	}
	return t
}

func (t PolicyTerms) withDefaults() PolicyTerms {
	if t.StopGrace == 0 {
		t.StopGrace = 2 * time.Hour
	}
	if t.DeleteGrace == 0 {
		t.DeleteGrace = deleteGrace
	}
	return t
}

// and are the terms of two changes at once.
func (t PolicyTerms) and(o PolicyTerms) PolicyTerms {
	t, o = t.withDefaults(), o.withDefaults()
	t.ResetLastUsed, t.ResetDormant = t.ResetLastUsed || o.ResetLastUsed, t.ResetDormant || o.ResetDormant
	t.StopGrace, t.DeleteGrace = max(t.StopGrace, o.StopGrace), max(t.DeleteGrace, o.DeleteGrace)
	return t
}

// Move is how a policy change moves the instant at which a rule acts on one workspace. The zero time is never.
type Move struct {
	Rule Rule      `json:"rule"`
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// PlanPolicy returns what a policy change does to one workspace at now: the change of its row (ok is false if there is none)
// and the moves of its rules. After the template itself has the new policy it returns the change that is left to commit;
// called on its own result there is none. (A tick makes the same change before it does anything else to the workspace.)
//
// Only what depends on a changed value moves. A running workspace keeps its deadline unless a cap comes sooner, or the TTL
// or the requirement that gave it is gone, or a TTL begins. Whatever comes sooner than before leaves the grace of the change.
func PlanPolicy(s Snapshot, c PolicyChange, now time.Time) (change Change, moves []Move, ok bool) {
	before := s
	before.Template = c.Template
	if s.Template.Rules == c.Template.Rules {
		s.Template = c.next(s.Template)
	}
	e := edit(&s, now)
	moves = movesBetween(&before, &e.s, e.now)
	was, is := s.Workspace, e.s.Workspace
	was.Seen, is.Seen = Seen{}, Seen{}
	return e.change(), moves, was != is || e.s.Build != s.Build
}

// next is the template with the new policy, as [ReplaceTemplate] makes it.
func (c *PolicyChange) next(t Template) Template {
	return t.withPolicy(c.Policy, c.PolicyTerms)
}

// Adapt returns the change that brings a workspace in line with newer rules of its template and owner, and whether there is
// one. It is for whoever applies a plan: ticks and verbs do it by themselves.
func Adapt(s Snapshot, now time.Time) (change Change, ok bool) {
	if follows(&s) {
		return Change{}, false
	}
	e := edit(&s, now)
	return e.change(), true
}

// movesBetween lists the rules that act at another instant.
func movesBetween(before, after *Snapshot, now time.Time) []Move {
	var moves []Move
	for r := RuleNone + 1; r < ruleEnd; r++ {
		from, to := foreseen(r, before, now), foreseen(r, after, now)
		if !from.Equal(to) {
			moves = append(moves, Move{Rule: r, From: from, To: to})
		}
	}
	return moves
}

// foreseen is when a rule acts, or, if it is a deletion, when it will after what other rules do before. Zero is never.
func foreseen(r Rule, s *Snapshot, now time.Time) time.Time {
	acts := actsAt(r, s, now)
	if r == RuleAutodelete && acts.IsZero() && suspended(s) == none {
		return deletionAhead(s, now).time()
	}
	return acts
}
