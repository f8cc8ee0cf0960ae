package dormouse

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Limits of one page.
const (
	defaultPage = 100
	maxPage     = 1000
)

func page(limit int) (int, error) {
	switch {
	case limit == 0:
		return defaultPage, nil
	case limit < 0 || limit > maxPage:
		return 0, invalid.New("limit", limit, "must be 0 (for %d) to %d", defaultPage, maxPage)
	}
	return limit, nil
}

// ListQuery asks for a page of the workspaces of the plane's organization. Zero values restrict nothing, except that deleted
// workspaces are listed only where Statuses asks for them.
type ListQuery struct {
	// Template and Owner (a name) are those of the workspaces, and Statuses any that they may have.
	Template uuid.UUID          `json:"template,omitzero"`
	Owner    string             `json:"owner,omitempty"`
	Statuses []lifecycle.Status `json:"statuses,omitempty"`
	// Building lists only those whose build is pending or running.
	Building bool `json:"building,omitempty"`
	// NamePrefix is what names begin with, upper and lower case being different. It needs the order lifecycle.ListByName.
	NamePrefix string `json:"name_prefix,omitempty"`
	// DueBy lists only what the engine has to look at by then. It needs the order lifecycle.ListByWake.
	DueBy time.Time `json:"due_by,omitzero"`
	// Order defaults to that of the ids, which is that of creation.
	Order lifecycle.ListOrder `json:"order,omitempty"`
	// After, AfterName and AfterWake are where the page before ended; [ListQuery.Following] sets them.
	After     uuid.UUID `json:"after,omitzero"`
	AfterName string    `json:"after_name,omitempty"`
	AfterWake time.Time `json:"after_wake,omitzero"`
	// Limit is at most 1000. Defaults to 100. Fewer workspaces than that are the last page.
	Limit int `json:"limit,omitempty"`
}

// Following asks for the page after one that ends with a workspace.
func (q ListQuery) Following(last Workspace) ListQuery {
	s := lifecycle.Snapshot{Workspace: lifecycle.Workspace{ID: last.ID, Name: last.Name, WakeAt: last.WakeAt}}
	next := lifecycle.ListQuery{Order: q.Order}.Following(&s)
	q.After, q.AfterName, q.AfterWake = next.After, next.AfterName, next.AfterWake
	return q
}

// List returns a page of workspaces, in the order asked for.
func (p *Plane) List(ctx context.Context, q ListQuery) ([]Workspace, error) {
	query, err := p.listQuery(q)
	if err != nil {
		return nil, err
	}
	found, err := p.store.List(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list workspaces: %w", err)
	}
	return each(found, WorkspaceOf), nil
}

func (p *Plane) listQuery(q ListQuery) (query lifecycle.ListQuery, err error) {
	limit, err := page(q.Limit)
	if err != nil {
		return query, invalid.As("ListQuery.Limit", err)
	}
	query = lifecycle.ListQuery{
		Organizations: p.organizations(), TemplateID: q.Template, Statuses: q.Statuses, Building: q.Building,
		NamePrefix: q.NamePrefix, DueBy: q.DueBy, Order: q.Order,
		After: q.After, AfterName: q.AfterName, AfterWake: q.AfterWake, Limit: limit,
	}
	if q.Owner != "" {
		if err := validName("ListQuery.Owner", q.Owner); err != nil {
			return query, err
		}
		query.OwnerID = named(p.cfg.Organization, "owner", q.Owner)
	}
	return query, query.Validate()
}

func (p *Plane) organizations() []uuid.UUID { return []uuid.UUID{p.cfg.Organization} }

// CountQuery selects workspaces of the plane's organization to count; zero values restrict nothing.
type CountQuery struct {
	Template uuid.UUID `json:"template,omitzero"`
	Owner    string    `json:"owner,omitempty"`
}

// Count returns how many workspaces have each status, deleted ones included; a status that none has is absent. It costs a
// look at every workspace that is counted.
func (p *Plane) Count(ctx context.Context, q CountQuery) (map[lifecycle.Status]int, error) {
	query := lifecycle.CountQuery{Organizations: p.organizations(), TemplateID: q.Template}
	if q.Owner != "" {
		if err := validName("CountQuery.Owner", q.Owner); err != nil {
			return nil, err
		}
		query.OwnerID = named(p.cfg.Organization, "owner", q.Owner)
	}
	counts, err := p.store.CountStatuses(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("count workspaces: %w", err)
	}
	return counts, nil
}

// Templates returns a page of the organization's templates, ordered by id, after one of them; a limit of 0 means 100.
func (p *Plane) Templates(ctx context.Context, after uuid.UUID, limit int) ([]Template, error) {
	limit, err := page(limit)
	if err != nil {
		return nil, err
	}
	found, err := p.store.Templates(ctx, lifecycle.TemplateQuery{Organizations: p.organizations(), After: after, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	return each(found, templateOf), nil
}

// Owners returns a page of owners, ordered by id, after one of them; a limit of 0 means 100. The list is that of the store,
// for who operates it: an owner belongs to no organization.
func (p *Plane) Owners(ctx context.Context, after uuid.UUID, limit int) ([]Owner, error) {
	limit, err := page(limit)
	if err != nil {
		return nil, err
	}
	found, err := p.store.Owners(ctx, lifecycle.OwnerQuery{After: after, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list owners: %w", err)
	}
	return each(found, ownerOf), nil
}

// Processes returns a page of the processes that hand out jobs of the store, ordered by id, after one of them; a limit of 0
// means 100. Those that are lost are listed until their records are deleted, after Config.Retention.
func (p *Plane) Processes(ctx context.Context, after uuid.UUID, limit int) ([]Process, error) {
	limit, err := page(limit)
	if err != nil {
		return nil, err
	}
	found, err := p.store.Processes(ctx, queue.ProcessQuery{After: after, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	return each(found, processOf), nil
}

func each[A, B any](all []A, of func(A) B) []B {
	made := make([]B, len(all))
	for i := range all {
		made[i] = of(all[i])
	}
	return made
}
