package unittest

import (
	"context"
	"fmt"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/schedule"
)

// Store is what the plane needs of a database: the executor's store, the events, and a place for people and templates.
type Store interface {
	lifecycle.Store
	lifecycle.Outbox
	lifecycle.Registry
}

// Mailer sends a mail to the owner of a workspace. A key that was seen before must not be mailed again.
type Mailer interface {
	Mail(ctx context.Context, owner uuid.UUID, key, text string) error
}

// Budget says how many hours an owner may still use.
type Budget interface {
	Left(ctx context.Context, owner uuid.UUID) (hours int, err error)
}

// Plane is the control plane under test.
type Plane struct {
	Executor *executor.Executor

	store    Store
	clock    quartz.Clock
	mailer   Mailer
	budget   Budget
	template lifecycle.Template
}

// policy is what the host promises its users.
var policy = lifecycle.Policy{
	DefaultTTL: 8 * time.Hour, ActivityBump: time.Hour, ReminderLead: 30 * time.Minute,
	TimeTilDormant: 14 * 24 * time.Hour, TimeTilAutodelete: 30 * 24 * time.Hour,
	AllowUserAutostart: true, AutostartDays: schedule.DaysOf(time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday),
}

// New wires the executor to the store, the mail and the budget. ticks, if not nil, drives [executor.Executor.Run].
func New(
	ctx context.Context, store Store, mailer Mailer, budget Budget, clock quartz.Clock, ticks <-chan time.Time,
) (*Plane, error) {
	p := &Plane{store: store, clock: clock, mailer: mailer, budget: budget}
	p.template = lifecycle.Template{
		ID: uuid.New(), OrganizationID: uuid.New(), Name: "standard", ActiveVersionID: uuid.New(), Policy: policy,
	}
	if err := policy.Validate(); err != nil {
		return nil, err
	}
	if err := store.PutTemplate(ctx, clock.Now(), p.template); err != nil {
		return nil, err
	}
	var err error
	p.Executor, err = executor.New(store, executor.Config{
		Clock: clock, Tick: ticks, Builder: executor.BuilderFunc(p.build), Notifier: p.notify,
	})
	return p, err
}

// Create makes a workspace for a new owner and starts it. mornings is its autostart schedule, empty for none.
func (p *Plane) Create(ctx context.Context, name, mornings string) (uuid.UUID, error) {
	var start *schedule.Cron
	if mornings != "" {
		var err error
		if start, err = schedule.Weekly(mornings); err != nil {
			return uuid.Nil, err
		}
	}
	w := lifecycle.Workspace{
		ID: uuid.New(), OrganizationID: p.template.OrganizationID, OwnerID: uuid.New(), TemplateID: p.template.ID,
		Name: name, CreatedAt: p.clock.Now(), Autostart: start, TTL: policy.DefaultTTL,
	}
	if err := p.store.PutOwner(ctx, w.CreatedAt, lifecycle.Owner{ID: w.OwnerID, Name: "owner of " + name}); err != nil {
		return uuid.Nil, err
	}
	if err := p.store.CreateWorkspaces(ctx, w.CreatedAt, w); err != nil {
		return uuid.Nil, err
	}
	_, err := p.Executor.Update(ctx, w.ID, lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil))
	return w.ID, err
}

// Finished is called by the workers: the latest build of the workspace has succeeded.
func (p *Plane) Finished(ctx context.Context, id uuid.UUID) (lifecycle.Snapshot, error) {
	s, err := p.Executor.Load(ctx, id)
	if err != nil {
		return s, err
	}
	return p.Executor.Update(ctx, id, lifecycle.JobEnded(lifecycle.JobResult{BuildID: s.Build.ID, Status: lifecycle.JobSucceeded}))
}

// build lets a build pass, or refuses it for now. It only asks: a build that passes here may still never be committed.
// Whatever else is used up, a stop is never refused.
func (p *Plane) build(ctx context.Context, r executor.BuildRequest) (executor.BuildSpec, error) {
	spec := executor.BuildSpec{Tags: map[string]string{"zone": "any"}}
	if r.Build.Transition != lifecycle.TransitionStart {
		return spec, nil
	}
	hours, err := p.budget.Left(ctx, r.Snapshot.Owner.ID)
	if err != nil {
		return spec, fmt.Errorf("ask for the budget: %w", err)
	}
	if hours <= 0 {
		return spec, executor.Refuse("the budget of %s is used up", r.Snapshot.Owner.Name)
	}
	return spec, nil
}

// notify turns events into mails.
func (p *Plane) notify(ctx context.Context, e lifecycle.Event) error {
	switch e.Kind {
	case lifecycle.EventReminder:
		return p.mailer.Mail(ctx, e.OwnerID, e.Key(), "stops at "+e.Until.Format(time.RFC3339))
	case lifecycle.EventDormant:
		return p.mailer.Mail(ctx, e.OwnerID, e.Key(), fmt.Sprintf("asleep, deleted on %s", e.Until.Format(time.RFC3339)))
	}
	return nil
}
