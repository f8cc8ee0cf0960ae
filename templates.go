package dormouse

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/lint"
	"github.com/dormouse-go/dormouse/schedule"
)

// PutTemplate creates a template, or brings an existing one to what is given, and returns it with its defaults. A program
// may call it at each start: what is as it should be is left alone. A policy that changes leaves the default graces, so that
// nobody's workspace stops or goes at once; to look first, or to choose other graces, use [Plane.Plan] and [Plane.Apply]. A
// hold of the template stays as it is.
//
// A change is an event of the kind lifecycle.EventTemplateChanged.
func (p *Plane) PutTemplate(ctx context.Context, t Template, options ...Option) (Template, error) {
	if t.Organization == uuid.Nil {
		t.Organization = p.cfg.Organization
	}
	r, err := requestOf(options)
	if err == nil {
		err = p.validateTemplate(t)
	}
	if err != nil {
		return Template{}, err
	}
	if t.ID == uuid.Nil {
		t.ID = named(t.Organization, "template", t.Name)
	}
	for range maxStale {
		put, err := p.putTemplate(ctx, t, r)
		if !errors.Is(err, lifecycle.ErrStaleTemplate) {
			return put, err
		}
	}
	return Template{}, fmt.Errorf("put template %s: %w", t.Name, executor.ErrConflict)
}

// maxStale limits how often a template is put again because somebody else was faster.
const maxStale = 20

func (p *Plane) putTemplate(ctx context.Context, t Template, r request) (Template, error) {
	old, exists, err := p.bound.Template(ctx, t.ID)
	if err != nil {
		return Template{}, fmt.Errorf("put template %s: %w", t.Name, err)
	}
	if exists && old.OrganizationID != p.cfg.Organization {
		return Template{}, &NotFoundError{"template", t.ID}
	}
	next := t.over(old)
	if exists && sameTemplate(old, next) {
		return templateOf(old), nil
	}
	if err := p.writeTemplate(ctx, old, next, r); err != nil {
		return Template{}, fmt.Errorf("put template %s: %w", t.Name, err)
	}
	put := templateOf(next)
	put.Warnings = lint.Template(next, p.now(), lint.Config{})
	return put, nil
}

// writeTemplate writes a template over the one before, and the event of it.
func (p *Plane) writeTemplate(ctx context.Context, old, next lifecycle.Template, r request) error {
	now, told := p.now(), next
	told.Revision++
	return p.client.Record(ctx, func(w lifecycle.Writer) error { return w.PutTemplate(ctx, now, next) },
		r.signed(told.ChangedEvent(&old, now)))
}

func (p *Plane) validateTemplate(t Template) error {
	if err := validName("Template.Name", t.Name); err != nil {
		return err
	}
	if t.Organization != p.cfg.Organization {
		return invalid.New("Template.Organization", t.Organization, "must be that of the plane, %s", p.cfg.Organization)
	}
	return invalid.Within("Template", t.Policy.Validate())
}

// over returns the template as it shall be: what the host does not set stays as it is, its revision included.
func (t Template) over(old lifecycle.Template) lifecycle.Template {
	next := old
	next.ID, next.OrganizationID, next.Name, next.Policy = t.ID, t.Organization, t.Name, t.Policy
	switch {
	case t.ActiveVersion != uuid.Nil:
		next.ActiveVersionID = t.ActiveVersion
	case old.ActiveVersionID == uuid.Nil:
		next.ActiveVersionID = t.ID
	}
	return next
}

func sameTemplate(a, b lifecycle.Template) bool {
	return a.Name == b.Name && a.OrganizationID == b.OrganizationID && a.ActiveVersionID == b.ActiveVersionID &&
		a.Policy.Equal(b.Policy)
}

// Template returns a template, or a [*NotFoundError].
func (p *Plane) Template(ctx context.Context, id uuid.UUID) (Template, error) {
	t, err := p.template(ctx, id)
	if err != nil {
		return Template{}, err
	}
	return templateOf(t), nil
}

// Plan computes what a policy change would do to the workspaces of a template, and writes nothing. Of the change it reads
// Policy, the resets and the graces.
func (p *Plane) Plan(ctx context.Context, template uuid.UUID, change PolicyChange) (PolicyPlan, error) {
	if _, err := p.Template(ctx, template); err != nil {
		return PolicyPlan{}, err
	}
	plan, err := p.executor.Plan(ctx, template, change)
	if err != nil {
		return PolicyPlan{}, err
	}
	warnings, err := p.planWarnings(ctx, plan)
	return PolicyPlan{plan, warnings}, err
}

// Apply carries out a plan, and calls report, if not nil, with its progress after each page. After an error or a crash call
// it again with the last plan seen. It returns lifecycle.ErrPolicyChanged if the policy has changed since the plan. Who asks
// and the note stand in the events of the template and of each workspace that changes.
func (p *Plane) Apply(ctx context.Context, plan PolicyPlan, report func(PolicyPlan), options ...Option) (PolicyPlan, error) {
	r, err := requestOf(options)
	if err != nil {
		return plan, err
	}
	if _, err := p.template(ctx, plan.Change.Template.ID); err != nil {
		return plan, err
	}
	progress := func(done lifecycle.PolicyPlan) {
		if report != nil {
			report(PolicyPlan{done, plan.Warnings})
		}
	}
	if r != (request{}) {
		plan.Actor, plan.Note = r.actor, r.note
	}
	done, err := p.executor.Apply(ctx, plan.PolicyPlan, progress)
	return PolicyPlan{done, plan.Warnings}, err
}

// PutOwner creates or replaces an owner and returns it with its id. [Plane.Create] makes owners by itself; PutOwner is for
// suspending one, and for quiet hours. An owner that is as given already is left alone; a change is an event of the kind
// lifecycle.EventOwnerChanged.
func (p *Plane) PutOwner(ctx context.Context, o Owner, options ...Option) (Owner, error) {
	r, err := requestOf(options)
	if err != nil {
		return Owner{}, err
	}
	next, err := p.newOwner(&o)
	if err != nil {
		return Owner{}, err
	}
	old, exists, err := p.bound.Owner(ctx, o.ID)
	switch {
	case err != nil:
		return Owner{}, fmt.Errorf("put owner %s: %w", o.Name, err)
	case exists && sameOwner(old, next):
		return o, nil
	}
	if err := p.writeOwner(ctx, old, next, r); err != nil {
		return Owner{}, fmt.Errorf("put owner %s: %w", o.Name, err)
	}
	return o, nil
}

// writeOwner writes an owner over the one before, and the event of it.
func (p *Plane) writeOwner(ctx context.Context, old, next lifecycle.Owner, r request) error {
	now := p.now()
	e := r.signed(next.ChangedEvent(&old, now))
	e.OrganizationID = p.cfg.Organization
	return p.client.Record(ctx, func(w lifecycle.Writer) error { return w.PutOwner(ctx, now, next) }, e)
}

// newOwner checks an owner, completes it, and returns it as the store keeps it.
func (p *Plane) newOwner(o *Owner) (lifecycle.Owner, error) {
	if err := validName("Owner.Name", o.Name); err != nil {
		return lifecycle.Owner{}, err
	}
	if _, err := o.Status.MarshalText(); err != nil {
		return lifecycle.Owner{}, invalid.As("Owner.Status", err)
	}
	if o.ID == uuid.Nil {
		o.ID = named(p.cfg.Organization, "owner", o.Name)
	}
	next := lifecycle.Owner{ID: o.ID, Name: o.Name, Status: o.Status}
	if o.QuietHours != "" {
		quiet, err := schedule.Daily(o.QuietHours)
		if err != nil {
			return lifecycle.Owner{}, invalid.As("Owner.QuietHours", err)
		}
		next.QuietHours = quiet
	}
	return next, nil
}

func sameOwner(a, b lifecycle.Owner) bool {
	return a.Name == b.Name && a.Status == b.Status && textOf(a.QuietHours) == textOf(b.QuietHours)
}

func textOf(c *schedule.Cron) string {
	if c == nil {
		return ""
	}
	return c.Text()
}

// TemplateID is the id that [Plane.PutTemplate] chooses for a template of a name, and OwnerID the one of an owner, whether they are
// there or not: a host that knows names needs no search.
func (p *Plane) TemplateID(name string) uuid.UUID { return named(p.cfg.Organization, "template", name) }

// OwnerID is the id of an owner of a name; see [Plane.TemplateID].
func (p *Plane) OwnerID(name string) uuid.UUID { return named(p.cfg.Organization, "owner", name) }

// named derives the id of what a host knows by its name, so that every process finds it without asking the store for names.
func named(organization uuid.UUID, kind, name string) uuid.UUID {
	return uuid.NewSHA1(organization, []byte("dormouse "+kind+"\x00"+name))
}
