package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Plan computes what a policy change would do, and writes nothing. The store must be a [lifecycle.Registry]. Of the change
// it reads Policy, the resets and the graces. It reads every workspace of the template.
func (c *Client) Plan(ctx context.Context, templateID uuid.UUID, change lifecycle.PolicyChange) (lifecycle.PolicyPlan, error) {
	if err := c.planned(); err != nil {
		return lifecycle.PolicyPlan{}, err
	}
	t, err := c.readTemplate(ctx, templateID)
	if err != nil {
		return lifecycle.PolicyPlan{}, fmt.Errorf("plan policy: %w", err)
	}
	p, err := lifecycle.NewPolicyPlan(t, change, c.clock.Now("executor", "plan"))
	if err != nil {
		return lifecycle.PolicyPlan{}, fmt.Errorf("plan policy: %w", err)
	}
	err = c.members(ctx, &p, func(page []lifecycle.Snapshot) error {
		for _, s := range page {
			p.Add(s)
		}
		return nil
	})
	p.After = uuid.Nil
	return p, err
}

// planned reports whether the store is able to plan and apply.
func (c *Client) planned() error {
	if c.store.registry == nil {
		return invalid.New("store", fmt.Sprintf("%T", c.store.inner), needs(c.store.inner, "lifecycle.Registry"))
	}
	return nil
}

// members reads the workspaces of the plan's template from its place on, page by page.
func (c *Client) members(ctx context.Context, p *lifecycle.PolicyPlan, do func([]lifecycle.Snapshot) error) error {
	for {
		page, err := c.store.List(ctx, lifecycle.ListQuery{TemplateID: p.Change.Template.ID, After: p.After, Limit: c.cfg.PageSize})
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

// Apply carries out a plan: the template gets its new policy, then its workspaces get their changes, in batches, each
// applied only to the revision it was computed from. It returns the plan with its progress, and calls report, if not nil,
// with it after each page. After an error or a crash, call it again with the last plan seen: it continues there and applies
// nothing twice. It returns [lifecycle.ErrPolicyChanged] if the template's policy has changed since it was planned, at any
// step: what holds then is the newer policy. Ticks bring workspaces in line too, so Applied may count fewer than change.
// Workspaces whose change the store refuses, or whose row somebody holds, are no error; the plan lists them and is not Done, and applying it again tries
// them again.
func (c *Client) Apply(ctx context.Context, p lifecycle.PolicyPlan, report func(lifecycle.PolicyPlan)) (lifecycle.PolicyPlan, error) {
	err := c.planned()
	if err != nil {
		return p, err
	}
	if p.Put {
		err = c.checkPolicy(ctx, &p)
	} else if err = c.putPolicy(ctx, &p); err == nil {
		p.Put = true
		c.signals.changed()
	}
	if err != nil {
		return p, fmt.Errorf("apply policy: %w", err)
	}
	if len(p.Rejected) > 0 { // those that follow already cost a look
		p.Rejected, p.After = nil, uuid.Nil
	}
	err = c.members(ctx, &p, func(page []lifecycle.Snapshot) error {
		n, err := c.applyPage(ctx, page, &p)
		if p.Applied += n; err == nil && report != nil {
			report(p)
		}
		return err
	})
	if err != nil {
		return p, fmt.Errorf("apply policy: %w", err)
	}
	p.Done = len(p.Rejected) == 0
	return p, nil
}

func (c *Client) readTemplate(ctx context.Context, id uuid.UUID) (lifecycle.Template, error) {
	t, ok, err := c.store.Template(ctx, id)
	if err == nil && !ok {
		err = fmt.Errorf("template %s: %w", id, lifecycle.ErrNotFound)
	}
	return t, err
}

// checkPolicy sees that the template still has the policy that the plan has put, also if no workspace is left to ask.
func (c *Client) checkPolicy(ctx context.Context, p *lifecycle.PolicyPlan) error {
	t, err := c.readTemplate(ctx, p.Change.Template.ID)
	if err != nil {
		return err
	}
	return p.Check(t)
}

func (c *Client) putPolicy(ctx context.Context, p *lifecycle.PolicyPlan) error {
	for range maxConflicts {
		err := c.tryPutPolicy(ctx, p)
		if !errors.Is(err, lifecycle.ErrStaleTemplate) {
			return err
		}
	}
	return ErrConflict
}

// tryPutPolicy writes the policy over the template as it is. A new version or hold in between is not lost: the write then
// is stale, and is made again.
func (c *Client) tryPutPolicy(ctx context.Context, p *lifecycle.PolicyPlan) error {
	current, err := c.readTemplate(ctx, p.Change.Template.ID)
	if err != nil {
		return err
	}
	next, err := p.Next(current)
	if err != nil {
		return err
	}
	now := micros.Of(c.clock.Now("executor", "apply"))
	if !c.records() {
		return c.store.PutTemplate(ctx, c.store.registry, now, next)
	}
	told := next
	told.Revision++
	e := told.ChangedEvent(&current, now)
	p.Sign(&e)
	return c.Record(ctx, func(w lifecycle.Writer) error { return c.store.PutTemplate(ctx, w, now, next) }, e)
}

// applyPage commits the changes of a page. Those in conflict with another change are computed again. Those whose row somebody
// holds are waited for as an update waits, together, and then count as rejected.
func (c *Client) applyPage(ctx context.Context, page []lifecycle.Snapshot, p *lifecycle.PolicyPlan) (applied int, err error) {
	var lock lockWait
	for range maxConflicts {
		n, lost, err := c.applyOnce(ctx, page, p)
		applied += n
		if err != nil || len(lost) == 0 {
			return applied, err
		}
		if page, err = c.store.Load(ctx, lost.ids()...); err != nil {
			return applied, err
		}
		anyHeld := slices.ContainsFunc(page, func(s lifecycle.Snapshot) bool { return lost.held(&s) })
		if anyHeld && !lock.again(ctx, c.clock) {
			page = c.rejectHeld(ctx, page, lost, p)
		}
	}
	return applied, ErrConflict
}

// rejectHeld notes what cannot be written because somebody holds its row, and returns the rest of a page.
func (c *Client) rejectHeld(ctx context.Context, page []lifecycle.Snapshot, lost conflicts, p *lifecycle.PolicyPlan) []lifecycle.Snapshot {
	return slices.DeleteFunc(page, func(s lifecycle.Snapshot) bool {
		held := lost.held(&s)
		if held {
			c.rejected(ctx, p, s.Workspace.ID, errLocked)
		}
		return held
	})
}

func (c *Client) rejected(ctx context.Context, p *lifecycle.PolicyPlan, id uuid.UUID, err error) {
	c.logger.WarnContext(ctx, "executor: policy change rejected", "workspace_id", id, "error", err)
	p.Reject(id)
}

func (c *Client) applyOnce(ctx context.Context, page []lifecycle.Snapshot, p *lifecycle.PolicyPlan) (applied int, lost conflicts, err error) {
	lost = conflicts{}
	var changes []lifecycle.Change
	now := micros.Of(c.clock.Now("executor", "apply"))
	for _, s := range page {
		if err := p.Check(s.Template); err != nil {
			return 0, nil, err
		}
		if change, ok := lifecycle.Adapt(s, now); ok {
			change.Events = c.wanted().Filter(change.Events)
			for i := range change.Events {
				p.Sign(&change.Events[i])
			}
			changes = append(changes, change)
		}
	}
	for batch := range slices.Chunk(changes, c.cfg.BatchSize) {
		verdicts, err := c.write(ctx, now, batch)
		for i, v := range verdicts {
			id := batch[i].Workspace.ID
			switch {
			case v.err != nil:
				c.rejected(ctx, p, id, v.err)
			case v.applied():
				applied++
			case v.settled:
				lost[id] = batch[i].Revision
			}
		}
		if err != nil {
			return applied, lost, err
		}
	}
	return applied, lost, nil
}
