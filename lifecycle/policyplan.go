package lifecycle

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// maxEffects bounds the workspaces that a plan lists; it counts all of them.
const maxEffects = 1000

// PolicyPlan says what a policy change would do to the workspaces of a template, and how far it has been applied. It is a
// plain value: a host may show it, store it as JSON, apply it later, and continue after a crash.
type PolicyPlan struct {
	Change PolicyChange `json:"change"`
	// Actor is who applies it, and Note what they say about it: for the events.
	Actor string `json:"actor,omitempty"`
	Note  string `json:"note,omitempty"`
	// Workspaces counts the workspaces of the template, Changed those whose stored values change, Affected those for
	// which a rule acts at another instant.
	Workspaces int `json:"workspaces"`
	Changed    int `json:"changed"`
	Affected   int `json:"affected"`
	// Shifts counts by rule how its instants move.
	Shifts map[Rule]Shift `json:"shifts"`
	// Effects lists the affected workspaces, at most 1,000.
	Effects []PolicyEffect `json:"effects,omitempty"`

	// Put says that the template has its new policy. Applied counts the workspaces whose change was committed, After is the
	// last workspace that was looked at, and Done says that all were, and none was rejected.
	Put     bool `json:"put"`
	Applied int  `json:"applied"`
	// Rejected lists the workspaces whose change the store refused, at most 1,000. Each is tried again when something looks at
	// it, and when the plan is applied again.
	Rejected []uuid.UUID `json:"rejected,omitempty"`
	After    uuid.UUID   `json:"after,omitzero"`
	Done     bool        `json:"done"`
}

// Shift counts workspaces by how the instant of one rule moves. Immediate counts those for which the rule would now act
// within an hour of the plan and before would not have: the load to expect right after the change.
type Shift struct {
	Sooner    int `json:"sooner,omitempty"`
	Later     int `json:"later,omitempty"`
	Begins    int `json:"begins,omitempty"`
	Ends      int `json:"ends,omitempty"`
	Immediate int `json:"immediate,omitempty"`
}

// PolicyEffect is what a policy change does to one workspace.
type PolicyEffect struct {
	WorkspaceID uuid.UUID `json:"workspace_id"`
	OwnerID     uuid.UUID `json:"owner_id"`
	Name        string    `json:"name,omitempty"`
	Moves       []Move    `json:"moves"`
}

// NewPolicyPlan returns the plan of a policy change of a template with no workspace counted yet: call [PolicyPlan.Add] for
// each. It reads the policy, the resets and the graces of the change. The error is that of [Policy.Validate].
func NewPolicyPlan(t Template, c PolicyChange, now time.Time) (PolicyPlan, error) {
	if err := c.Policy.Validate(); err != nil {
		return PolicyPlan{}, err
	}
	if err := c.PolicyTerms.Validate(); err != nil {
		return PolicyPlan{}, err
	}
	c.At, c.Template = stamped(now), t
	c.PolicyTerms = c.PolicyTerms.withDefaults()
	c.PolicyTerms.At = c.At
	return PolicyPlan{Change: c, Shifts: map[Rule]Shift{}}, nil
}

// Add counts what the change does to one workspace of the template.
func (p *PolicyPlan) Add(s Snapshot) {
	_, moves, changed := PlanPolicy(s, p.Change, p.Change.At)
	p.Workspaces++
	if changed {
		p.Changed++
	}
	if len(moves) == 0 {
		return
	}
	p.Affected++
	for _, m := range moves {
		p.Shifts[m.Rule] = p.Shifts[m.Rule].plus(m, p.Change.At)
	}
	if len(p.Effects) < maxEffects {
		w := &s.Workspace
		p.Effects = append(p.Effects, PolicyEffect{w.ID, w.OwnerID, w.Name, moves})
	}
}

func (s Shift) plus(m Move, at time.Time) Shift {
	switch {
	case m.From.IsZero():
		s.Begins++
	case m.To.IsZero():
		s.Ends++
	case m.To.Before(m.From):
		s.Sooner++
	default:
		s.Later++
	}
	if soon := at.Add(time.Hour); before(m.To, soon) && !before(m.From, soon) {
		s.Immediate++
	}
	return s
}

// before reports whether something happens before an instant; zero is never.
func before(t, limit time.Time) bool { return !t.IsZero() && t.Before(limit) }

// ErrPolicyChanged says that the policy of the template has changed since the plan was made.
var ErrPolicyChanged = errors.New("policy was changed since the plan")

// Next returns the template that writes the plan over the template as it is now, whose revision it names, so that no other
// write in between is lost. The error is [ErrPolicyChanged] if the policy is neither the one that was planned for nor the
// result.
func (p *PolicyPlan) Next(current Template) (Template, error) {
	if current.Rules == p.Change.Template.Rules {
		return p.Change.next(current), nil
	}
	return current, p.Check(current)
}

// Check returns [ErrPolicyChanged] unless the template has the policy of the plan. Whoever applies a plan asks for each
// workspace that it changes.
func (p *PolicyPlan) Check(t Template) error {
	if t.Rules != p.Change.Template.Rules+1 || !t.Terms.At.Equal(p.Change.At) {
		return fmt.Errorf("template %s: %w", t.ID, ErrPolicyChanged)
	}
	return nil
}

// Sign names in an event who applies the plan.
func (p *PolicyPlan) Sign(e *Event) { e.Actor, e.Note = p.Actor, p.Note }

// Reject notes a workspace whose change the store refused.
func (p *PolicyPlan) Reject(id uuid.UUID) {
	if len(p.Rejected) < maxEffects {
		p.Rejected = append(p.Rejected, id)
	}
}
