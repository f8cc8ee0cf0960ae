package executor

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Plan says what a policy change would do, and writes nothing. The store must be a [Registry]. Of the change only Policy,
// the resets and the graces are read. It costs a read of every workspace of the template.
func (e *Executor) Plan(ctx context.Context, templateID uuid.UUID, c lifecycle.PolicyChange) (lifecycle.PolicyPlan, error) {
	registry, err := e.registry()
	if err != nil {
		return lifecycle.PolicyPlan{}, err
	}
	t, ok, err := registry.Template(ctx, templateID)
	switch {
	case err != nil:
		return lifecycle.PolicyPlan{}, fmt.Errorf("plan policy: %w", err)
	case !ok:
		return lifecycle.PolicyPlan{}, fmt.Errorf("plan policy: template %s: %w", templateID, lifecycle.ErrNotFound)
	}
	p, err := lifecycle.NewPolicyPlan(t, c, e.clock.Now("executor", "plan"))
	if err != nil {
		return lifecycle.PolicyPlan{}, fmt.Errorf("plan policy: %w", err)
	}
	err = e.members(ctx, registry, &p, func(page []lifecycle.Snapshot) error {
		for _, s := range page {
			p.Add(s)
		}
		return nil
	})
	p.After = uuid.Nil
	return p, err
}

func (e *Executor) registry() (lifecycle.Registry, error) {
	r, ok := e.store.(lifecycle.Registry)
	if !ok {
		return nil, invalid.New("store", fmt.Sprintf("%T", e.store), "a policy change needs a store with templates (lifecycle.Registry)")
	}
	return r, nil
}

// members reads the workspaces of the plan's template from its place on, page by page.
func (e *Executor) members(ctx context.Context, r lifecycle.Registry, p *lifecycle.PolicyPlan, do func([]lifecycle.Snapshot) error) error {
	for {
		page, err := r.List(ctx, lifecycle.ListQuery{TemplateID: p.Change.Template.ID, After: p.After, Limit: e.cfg.PageSize})
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

// Apply carries a plan out: the template gets its new policy, then its workspaces their changes, in batches, each with the
// revision it was computed from. It returns the plan with its progress; report, if not nil, is called with it after each
// page. After an error or a crash it is called again with the last plan seen and goes on from there; what was applied is
// not applied twice. A template whose policy was changed by somebody else since it was planned is an error.
func (e *Executor) Apply(ctx context.Context, p lifecycle.PolicyPlan, report func(lifecycle.PolicyPlan)) (lifecycle.PolicyPlan, error) {
	registry, err := e.registry()
	if err != nil {
		return p, err
	}
	if !p.Put {
		if err := e.putPolicy(ctx, registry, &p); err != nil {
			return p, fmt.Errorf("apply policy: %w", err)
		}
		p.Put = true
		signal(e.wakeC)
	}
	err = e.members(ctx, registry, &p, func(page []lifecycle.Snapshot) error {
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

func (e *Executor) putPolicy(ctx context.Context, r lifecycle.Registry, p *lifecycle.PolicyPlan) error {
	id := p.Change.Template.ID
	current, ok, err := r.Template(ctx, id)
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("template %s: %w", id, lifecycle.ErrNotFound)
	}
	next, err := p.Next(current)
	if err != nil {
		return err
	}
	return r.PutTemplate(ctx, micros.Of(e.clock.Now("executor", "apply")), next)
}

// applyPage commits the changes of a page. What lost against another change is computed again.
func (e *Executor) applyPage(ctx context.Context, page []lifecycle.Snapshot, c *lifecycle.PolicyChange) (applied int, err error) {
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

func (e *Executor) applyOnce(ctx context.Context, page []lifecycle.Snapshot, c *lifecycle.PolicyChange) (applied int, lost []uuid.UUID, err error) {
	var changes []lifecycle.Change
	for _, s := range page {
		if change, _, ok := lifecycle.PlanPolicy(s, *c); ok {
			change.Events = e.topics.Filter(change.Events)
			changes = append(changes, change)
		}
	}
	w := writer{store: e.store, now: micros.Of(e.clock.Now("executor", "apply"))}
	for len(changes) > 0 {
		n := min(len(changes), e.cfg.BatchSize)
		verdicts, err := w.write(ctx, changes[:n])
		for i, v := range verdicts {
			id := changes[i].Workspace.ID
			switch {
			case v.err != nil:
				e.cfg.Logger.WarnContext(ctx, "lifecycle: policy change rejected", "workspace_id", id, "error", v.err)
			case v.settled && v.outcome == lifecycle.Conflict:
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
