package lifecycle

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
)

// maxEffects bounds the workspaces that a plan lists; it counts all of them.
const maxEffects = 1000

// PolicyPlan says what a policy change would do to the workspaces of a template, and how far it has been applied. It is a
// plain value: a host may show it, store it as JSON, apply it later, and continue after a crash.
type PolicyPlan struct {
	Change PolicyChange `json:"change"`
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
	// last workspace that was looked at, and Done says that all were.
	Put     bool      `json:"put"`
	Applied int       `json:"applied"`
	After   uuid.UUID `json:"after,omitzero"`
	Done    bool      `json:"done"`
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
	c.At, c.Template = micros.Of(now), t
	return PolicyPlan{Change: c.withDefaults(), Shifts: map[Rule]Shift{}}, nil
}

// Add counts what the change does to one workspace of the template.
func (p *PolicyPlan) Add(s Snapshot) {
	_, moves, changed := PlanPolicy(s, p.Change)
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

// ErrPolicyChanged says that the template has changed since the plan was made.
var ErrPolicyChanged = errors.New("template was changed since the plan")

// Next returns the template as the plan writes it, or [ErrPolicyChanged] if the template as it is now is neither the one
// that was planned for nor the result.
func (p *PolicyPlan) Next(current Template) (Template, error) {
	next := p.Change.next()
	if !sameTemplate(current, p.Change.Template) && !sameTemplate(current, next) {
		return Template{}, fmt.Errorf("template %s: %w", current.ID, ErrPolicyChanged)
	}
	return next, nil
}

// sameTemplate compares what a plan depends on.
func sameTemplate(a, b Template) bool {
	sameDates := a.Policy.Holidays.String() == b.Policy.Holidays.String()
	a.Policy.Holidays, b.Policy.Holidays = nil, nil
	return sameDates && a == b
}
