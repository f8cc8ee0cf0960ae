package dormouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Get returns a workspace.
func (p *Plane) Get(ctx context.Context, id uuid.UUID) (Workspace, error) {
	s, err := p.workspaces().Load(ctx, id)
	if err != nil {
		return Workspace{}, err
	}
	return WorkspaceOf(s), nil
}

// Builds returns up to limit builds of a workspace with a number below before, newest first; 0 means from the newest, and
// a limit of 0 means 100.
func (p *Plane) Builds(ctx context.Context, workspace uuid.UUID, before int64, limit int) ([]BuildRecord, error) {
	limit, err := page(limit)
	switch {
	case err != nil:
		return nil, err
	case before < 0:
		return nil, invalid.New("before", before, "must not be negative")
	}
	if _, err := p.workspaces().Load(ctx, workspace); err != nil {
		return nil, err
	}
	builds, err := p.store.Builds(ctx, workspace, before, limit)
	if err != nil {
		return nil, fmt.Errorf("builds of workspace %s: %w", workspace, err)
	}
	return p.records(ctx, builds)
}

// BuildQuery asks for a page of the builds of the organization's workspaces, those that were made last first. Zero values
// restrict nothing.
type BuildQuery struct {
	// Statuses are those that the builds have, such as lifecycle.JobFailed, and Since leaves out what was made before.
	Statuses []lifecycle.JobStatus `json:"statuses,omitempty"`
	Since    time.Time             `json:"since,omitzero"`
	// Before and BeforeID are where the page before ended; [BuildQuery.Following] sets them.
	Before   time.Time `json:"before,omitzero"`
	BeforeID uuid.UUID `json:"before_id,omitzero"`
	// Limit is at most 1000. Defaults to 100. Fewer builds than that are the last page.
	Limit int `json:"limit,omitempty"`
}

// Following asks for the page after one that ends with a build.
func (q BuildQuery) Following(last BuildRecord) BuildQuery {
	q.Before, q.BeforeID = last.CreatedAt, last.ID
	return q
}

// FleetBuilds returns a page of the builds of all workspaces, newest first, each with its workspace: what fails at the
// moment, for instance. A page reads past the builds of other organizations and statuses.
func (p *Plane) FleetBuilds(ctx context.Context, q BuildQuery) ([]BuildRecord, error) {
	limit, err := page(q.Limit)
	if err != nil {
		return nil, invalid.As("BuildQuery.Limit", err)
	}
	found, err := p.store.FleetBuilds(ctx, lifecycle.BuildQuery{
		Organizations: p.organizations(), Statuses: q.Statuses, Since: q.Since, Before: q.Before, BeforeID: q.BeforeID, Limit: limit,
	})
	if err != nil {
		return nil, fmt.Errorf("list builds: %w", err)
	}
	records, err := p.records(ctx, each(found, func(b lifecycle.FleetBuild) lifecycle.Build { return b.Build }))
	for i := range records {
		records[i].WorkspaceID, records[i].Workspace = found[i].WorkspaceID, found[i].Name
	}
	return records, err
}

// records joins builds and their jobs.
func (p *Plane) records(ctx context.Context, builds []lifecycle.Build) ([]BuildRecord, error) {
	if len(builds) == 0 {
		return nil, nil
	}
	records := make([]BuildRecord, len(builds))
	places := make(map[uuid.UUID]int, len(builds))
	ids := make([]uuid.UUID, len(builds))
	for i, b := range builds {
		records[i], places[b.ID], ids[i] = recordOf(b), i, b.ID
	}
	jobs, err := p.store.Jobs(ctx, queue.Filter{IDs: ids, Organization: &p.cfg.Organization})
	if err != nil {
		return nil, fmt.Errorf("jobs of builds: %w", err)
	}
	for _, j := range jobs {
		records[places[j.ID]].add(j)
	}
	return records, nil
}

// Log returns up to limit lines of a build's log with a number above after; a limit of 0 means 100. A page that follows a
// build asks again with the last number it has.
func (p *Plane) Log(ctx context.Context, build uuid.UUID, after int64, limit int) ([]queue.Line, error) {
	limit, err := page(limit)
	switch {
	case err != nil:
		return nil, err
	case after < 0:
		return nil, invalid.New("after", after, "must not be negative")
	}
	lines, err := p.jobs().Lines(ctx, build, after, limit)
	if errors.Is(err, queue.ErrNotFound) {
		return nil, nil // not kept any more, or somebody else's: it looks as if nothing had been said
	}
	return lines, err
}

// Explain says what happens to a workspace next, when and why, for every rule.
func (p *Plane) Explain(ctx context.Context, id uuid.UUID) (Explanation, error) {
	return p.workspaces().Explain(ctx, id)
}
