package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// maxEffects bounds the workspaces that a plan lists; it counts all of them.
const maxEffects = 1000

// PolicyPlan says what a policy change would do to the workspaces of a template, and how far it has been applied. It is a
// plain value: a host may show it, store it as JSON, and apply it later or go on applying it after a crash.
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

	// Put says that the template has its new policy; Applied counts the workspaces whose change was committed, After is
	// the last one that was looked at, and Done says that all are.
	Put     bool      `json:"put"`
	Applied int       `json:"applied"`
	After   uuid.UUID `json:"after,omitzero"`
	Done    bool      `json:"done"`
}

// Shift counts workspaces by what happens to one rule. Immediate counts those that act within an hour of the plan and
// would not have; it shows a herd before it runs.
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

// Plan says what a policy change would do, and writes nothing. The store must be a [Registry]. Of the change only Policy,
// the resets and the graces are read. It costs a read of every workspace of the template.
func (e *Executor) Plan(ctx context.Context, templateID uuid.UUID, c PolicyChange) (PolicyPlan, error) {
	registry, err := e.registry()
	if err != nil {
		return PolicyPlan{}, err
	}
	if err := c.Policy.Validate(); err != nil {
		return PolicyPlan{}, fmt.Errorf("plan policy: %w", err)
	}
	t, ok, err := registry.Template(ctx, templateID)
	switch {
	case err != nil:
		return PolicyPlan{}, fmt.Errorf("plan policy: %w", err)
	case !ok:
		return PolicyPlan{}, fmt.Errorf("plan policy: template %s: %w", templateID, ErrNotFound)
	}
	c.At, c.Template = stored(e.clock.Now("executor", "plan")), t
	p := PolicyPlan{Change: c.withDefaults(), Shifts: map[Rule]Shift{}}
	err = e.members(ctx, registry, &p, func(page []Snapshot) error {
		for _, s := range page {
			p.add(&s)
		}
		return nil
	})
	p.After = uuid.Nil
	return p, err
}

func (e *Executor) registry() (Registry, error) {
	r, ok := e.store.(Registry)
	if !ok {
		return nil, &InvalidError{"store", fmt.Sprintf("%T", e.store), "a policy change needs a store with templates (lifecycle.Registry)"}
	}
	return r, nil
}

// members reads the workspaces of the plan's template from its place on, page by page.
func (e *Executor) members(ctx context.Context, r Registry, p *PolicyPlan, do func([]Snapshot) error) error {
	for {
		page, err := r.List(ctx, ListQuery{TemplateID: p.Change.Template.ID, After: p.After, Limit: e.cfg.PageSize})
		if err != nil {
			return fmt.Errorf("list workspaces of template %s: %w", p.Change.Template.ID, err)
		}
		if len(page) == 0 {
			return nil
		}
		if err := do(page); err != nil {
			return err
		}
		p.After = page[len(page)-1].Workspace.ID
	}
}

func (p *PolicyPlan) add(s *Snapshot) {
	_, moves, changed := PlanPolicy(*s, p.Change)
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

// Apply carries a plan out: the template gets its new policy, then its workspaces their changes, in batches, each with the
// revision it was computed from. It returns the plan with its progress; report, if not nil, is called with it after each
// page. After an error or a crash it is called again with the last plan seen and goes on from there; what was applied is
// not applied twice. A template whose policy was changed by somebody else since it was planned is an error.
func (e *Executor) Apply(ctx context.Context, p PolicyPlan, report func(PolicyPlan)) (PolicyPlan, error) {
	registry, err := e.registry()
	if err != nil {
		return p, err
	}
	if !p.Put {
		if err := e.putPolicy(ctx, registry, &p.Change); err != nil {
			return p, fmt.Errorf("apply policy: %w", err)
		}
		p.Put = true
		signal(e.wakeC)
	}
	err = e.members(ctx, registry, &p, func(page []Snapshot) error {
		n, err := e.applyPage(ctx, page, &p.Change)
		if p.Applied += n; err == nil && report != nil {
			report(p)
		}
		return err
	})
	if err != nil {
		return p, fmt.Errorf("apply policy: %w", err)
	}
	p.Done = true
	return p, nil
}

// ErrPolicyChanged says that the template is not as it was planned for.
var ErrPolicyChanged = errors.New("template was changed since the plan")

func (e *Executor) putPolicy(ctx context.Context, r Registry, c *PolicyChange) error {
	t, ok, err := r.Template(ctx, c.Template.ID)
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("template %s: %w", c.Template.ID, ErrNotFound)
	case !sameTemplate(t, c.Template) && !sameTemplate(t, c.next()):
		return fmt.Errorf("template %s: %w", t.ID, ErrPolicyChanged)
	}
	return r.PutTemplate(ctx, stored(e.clock.Now("executor", "apply")), c.next())
}

// sameTemplate compares what a plan depends on.
func sameTemplate(a, b Template) bool {
	sameDates := a.Policy.Holidays.String() == b.Policy.Holidays.String()
	a.Policy.Holidays, b.Policy.Holidays = nil, nil
	return sameDates && a == b
}

// applyPage commits the changes of a page. What lost against another change is computed again.
func (e *Executor) applyPage(ctx context.Context, page []Snapshot, c *PolicyChange) (applied int, err error) {
	for range maxConflicts {
		n, lost, err := e.applyOnce(ctx, page, c)
		applied += n
		if err != nil || len(lost) == 0 {
			return applied, err
		}
		if page, err = e.store.Load(ctx, lost...); err != nil {
			return applied, err
		}
	}
	return applied, ErrConflict
}

func (e *Executor) applyOnce(ctx context.Context, page []Snapshot, c *PolicyChange) (applied int, lost []uuid.UUID, err error) {
	var changes []Change
	for _, s := range page {
		if change, _, ok := PlanPolicy(s, *c); ok {
			change.Events = e.topics.filter(change.Events)
			changes = append(changes, change)
		}
	}
	w := writer{store: e.store, now: stored(e.clock.Now("executor", "apply"))}
	for len(changes) > 0 {
		n := min(len(changes), e.cfg.BatchSize)
		verdicts, err := w.write(ctx, changes[:n])
		for i, v := range verdicts {
			id := changes[i].Workspace.ID
			switch {
			case v.err != nil:
				e.cfg.Logger.WarnContext(ctx, "lifecycle: policy change rejected", "workspace_id", id, "error", v.err)
			case v.settled && v.outcome == Conflict:
				lost = append(lost, id)
			case v.settled:
				applied++
			}
		}
		if err != nil {
			return applied, lost, err
		}
		changes = changes[n:]
	}
	e.announce(true, nil)
	return applied, lost, nil
}
