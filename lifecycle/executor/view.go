package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// View is what one organization may ask of a [Client] or an [Executor]: the workspaces of all others do not exist in it, whatever
// their ids. A host that answers people uses a view; the methods of the client itself are the operator's.
type View struct {
	c            *Client
	organization uuid.UUID
}

// Within returns the view of an organization. It costs nothing and may be made for each request.
func (c *Client) Within(organization uuid.UUID) View { return View{c, organization} }

// Load is [Client.Load] for a workspace of the organization.
func (v View) Load(ctx context.Context, id uuid.UUID) (lifecycle.Snapshot, error) {
	s, err := v.c.Load(ctx, id)
	if err == nil && s.Workspace.OrganizationID != v.organization {
		return lifecycle.Snapshot{}, fmt.Errorf("workspace %s: %w", id, lifecycle.ErrNotFound)
	}
	return s, err
}

// Update is [Client.Update] for a workspace of the organization. It is compared in the verb, so in the state that the commit
// takes for granted.
func (v View) Update(ctx context.Context, id uuid.UUID, verb lifecycle.Verb) (lifecycle.Snapshot, error) {
	s, err := v.c.Update(ctx, id, lifecycle.InOrganization(v.organization, verb))
	if errors.Is(err, lifecycle.ErrNotFound) {
		return lifecycle.Snapshot{}, fmt.Errorf("workspace %s: %w", id, lifecycle.ErrNotFound)
	}
	return s, err
}

// Explain is [Client.Explain] for a workspace of the organization.
func (v View) Explain(ctx context.Context, id uuid.UUID) (lifecycle.Explanation, error) {
	s, err := v.Load(ctx, id)
	if err != nil {
		return lifecycle.Explanation{}, err
	}
	return v.c.explain(&s), nil
}
