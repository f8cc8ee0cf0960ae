package dormouse

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/lint"
)

// Foresight runs the functions of package forecast on what the store has at the moment. They change nothing. What they assume of
// builds and people is the host's to say; see [forecast.Assumptions].

// maxUpcoming bounds what is said of one workspace.
const maxUpcoming = 1000

// Upcoming returns the next n things that will happen to a workspace within four weeks, if nobody does anything; 0 is 10.
// [forecast.Words] says them to people.
func (p *Plane) Upcoming(ctx context.Context, id uuid.UUID, n int) ([]forecast.Step, error) {
	n, err := upTo(n)
	if err != nil {
		return nil, err
	}
	s, err := p.workspaces().Load(ctx, id)
	if err != nil {
		return nil, err
	}
	var steps []forecast.Step
	for step := range p.upcoming(s) {
		if steps = append(steps, step); len(steps) == n {
			break
		}
	}
	return steps, nil
}

// Calendar is an iCalendar file of the next n builds of a workspace; 0 is 10. See [forecast.Calendar].
func (p *Plane) Calendar(ctx context.Context, id uuid.UUID, n int) ([]byte, error) {
	n, err := upTo(n)
	if err != nil {
		return nil, err
	}
	s, err := p.workspaces().Load(ctx, id)
	if err != nil {
		return nil, err
	}
	return forecast.Calendar(s.Workspace.Name, p.now(), n, p.upcoming(s)), nil
}

func (p *Plane) upcoming(s lifecycle.Snapshot) iter.Seq[forecast.Step] {
	return forecast.Upcoming(s, p.now(), time.Time{}, forecast.Assumptions{})
}

// maxAhead bounds how far one call looks, since it takes time and memory for every hour of that.
const maxAhead = 366 * 24 * time.Hour

func ahead(from, until time.Time) error {
	if until.Sub(from) > maxAhead {
		return invalid.New("until", until, "must be at most %d days after %v", int(maxAhead.Hours()/24), from)
	}
	return nil
}

func upTo(n int) (int, error) {
	switch {
	case n < 0 || n > maxUpcoming:
		return 0, invalid.New("n", n, "must be between 0 and %d", maxUpcoming)
	case n == 0:
		return 10, nil
	}
	return n, nil
}

// Forecast says hour by hour, from now until an instant, how many workspaces of the plane's organization will run, start and
// stop. People come as they were learned to; see [forecast.Learn]. It reads every workspace once. An instant more than a year from now
// is refused, here and below.
func (p *Plane) Forecast(ctx context.Context, b *forecast.Behavior, until time.Time, c forecast.ForecastConfig) (forecast.Outlook, error) {
	if b == nil {
		return forecast.Outlook{}, invalid.New("behavior", nil, "must not be nil")
	}
	now := p.now()
	if err := ahead(now, until); err != nil {
		return forecast.Outlook{}, err
	}
	var f fleet
	outlook, err := forecast.Forecast(f.read(ctx, p, uuid.Nil), b, now, until, c)
	return outlook, f.failed(err)
}

// Simulate says what candidates would have saved and whom they would have hurt, over the plane's present workspaces and the
// sessions in which people worked, as the host has recorded them. It reads every workspace once.
func (p *Plane) Simulate(ctx context.Context, sessions func(Workspace) []forecast.Session, from, until time.Time,
	candidates []forecast.Candidate, c forecast.SimulateConfig,
) (forecast.Simulation, error) {
	if sessions == nil {
		return forecast.Simulation{}, invalid.New("sessions", nil, "must not be nil")
	}
	if err := ahead(from, until); err != nil {
		return forecast.Simulation{}, err
	}
	var f fleet
	members := func(yield func(forecast.Member) bool) {
		for s := range f.read(ctx, p, uuid.Nil) {
			if !yield(forecast.Member{Snapshot: s, Sessions: sessions(WorkspaceOf(s))}) {
				return
			}
		}
	}
	simulation, err := forecast.Simulate(members, from, until, candidates, c)
	return simulation, f.failed(err)
}

// ComparePlan says what follows from a policy plan until an instant, zero for four weeks, where the plan itself says how it
// moves the next thing that happens. See [forecast.ComparePlan].
func (p *Plane) ComparePlan(ctx context.Context, plan PolicyPlan, until time.Time, c forecast.PlanConfig) (forecast.PlanComparison, error) {
	template := plan.Change.Template.ID
	if _, err := p.template(ctx, template); err != nil {
		return forecast.PlanComparison{}, err
	}
	if err := ahead(plan.Change.At, until); err != nil {
		return forecast.PlanComparison{}, err
	}
	var f fleet
	compared, err := forecast.ComparePlan(plan.PolicyPlan, f.read(ctx, p, template), until, c)
	return compared, f.failed(err)
}

// planWarnings are what a plan deserves in itself and for the workspaces of its template.
func (p *Plane) planWarnings(ctx context.Context, plan lifecycle.PolicyPlan) (lint.PlanWarnings, error) {
	var f fleet
	warnings := lint.Plan(plan, f.read(ctx, p, plan.Change.Template.ID), lint.Config{})
	return warnings, f.failed(nil)
}

// fleet is a reading of workspaces, page by page, for functions that take a sequence and know of no errors.
type fleet struct{ err error }

// read yields the workspaces of the plane's organization that are not deleted, all or those of a template.
func (f *fleet) read(ctx context.Context, p *Plane, template uuid.UUID) iter.Seq[lifecycle.Snapshot] {
	return func(yield func(lifecycle.Snapshot) bool) {
		q := lifecycle.ListQuery{Organizations: p.organizations(), TemplateID: template, Limit: 1000}
		for page, err := range lifecycle.Pages(ctx, p.store, q) {
			if err != nil {
				f.err = fmt.Errorf("read the fleet: %w", err)
				return
			}
			for _, s := range page {
				if !s.Workspace.Deleted && !yield(s) {
					return
				}
			}
		}
	}
}

// failed is the error of the reading, or else that of what was made of it.
func (f *fleet) failed(err error) error {
	if f.err != nil {
		return f.err
	}
	return err
}
