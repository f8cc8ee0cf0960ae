package dormouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/lint"
)

// NewWorkspace is what [Plane.Create] makes a workspace of.
type NewWorkspace struct {
	// ID defaults to a new one. A host that repeats requests chooses it, so that two make one workspace.
	ID uuid.UUID `json:"id,omitzero"`
	// Template is the id of its template.
	Template uuid.UUID `json:"template"`
	// Owner is a name, unique in the organization; an owner that is not known yet is made, active and without quiet hours.
	Owner string `json:"owner"`
	// Name is for people. It need not be unique.
	Name string `json:"name"`
	// Hours are its working hours, or Autostart and Autostop the schedules by which it starts and stops by itself; see
	// [Schedule]. Empty for never. Only what was started once starts by itself.
	Hours     string `json:"hours,omitempty"`
	Autostart string `json:"autostart,omitempty"`
	Autostop  string `json:"autostop,omitempty"`
	// TTL is how long it runs before it stops by itself, where the template leaves the choice to owners. Defaults to that of
	// the template.
	TTL time.Duration `json:"ttl,omitzero"`
}

// MarshalJSON writes the TTL as a text like "8h0m0s".
func (n NewWorkspace) MarshalJSON() ([]byte, error) {
	type plain NewWorkspace
	return json.Marshal(struct {
		plain
		TTL span `json:"ttl,omitzero"`
	}{plain(n), span(n.TTL)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (n *NewWorkspace) UnmarshalJSON(text []byte) error {
	type plain NewWorkspace
	v := struct {
		*plain
		TTL span `json:"ttl"`
	}{plain: (*plain)(n)}
	err := json.Unmarshal(text, &v)
	n.TTL = time.Duration(v.TTL)
	return err
}

// Create makes a workspace without any build: [Plane.Start] starts it. Creating the same workspace again returns it as it
// is; an id that another one has is [ErrExists]. A template that is not there is a [*NotFoundError].
func (p *Plane) Create(ctx context.Context, n NewWorkspace, options ...Option) (Workspace, error) {
	return p.create(ctx, n, func(*lifecycle.Workspace) {}, options)
}

// create makes a workspace that a function may change before it is stored.
func (p *Plane) create(ctx context.Context, n NewWorkspace, change func(*lifecycle.Workspace), options []Option) (Workspace, error) {
	r, err := requestOf(options)
	if err == nil {
		err = n.validate()
	}
	if err != nil {
		return Workspace{}, err
	}
	t, err := p.template(ctx, n.Template)
	if err != nil {
		return Workspace{}, fmt.Errorf("create workspace: %w", err)
	}
	s, err := p.newSnapshot(n, t)
	if err != nil {
		return Workspace{}, err
	}
	change(&s.Workspace)
	if err := p.ensureOwner(ctx, s.Owner, r); err != nil {
		return Workspace{}, fmt.Errorf("create workspace %s: %w", n.Name, err)
	}
	now := p.now()
	write := func(w lifecycle.Writer) error { return w.CreateWorkspaces(ctx, now, s.Workspace) }
	if err := p.client.Record(ctx, write, r.signed(s.Workspace.CreatedEvent(now))); err != nil {
		return p.created(ctx, s, err)
	}
	w, err := p.Get(ctx, s.Workspace.ID)
	w.Warnings = lint.Workspace(s, p.now(), lint.Config{})
	return w, err
}

func (n NewWorkspace) validate() error {
	if err := validName("NewWorkspace.Name", n.Name); err != nil {
		return err
	}
	return validName("NewWorkspace.Owner", n.Owner)
}

// newSnapshot is the workspace before it is stored. What the host chose goes through the verbs that change it later, so
// that the same is allowed.
func (p *Plane) newSnapshot(n NewWorkspace, t lifecycle.Template) (lifecycle.Snapshot, error) {
	if n.ID == uuid.Nil {
		id, err := uuid.NewV7()
		if err != nil {
			return lifecycle.Snapshot{}, err
		}
		n.ID = id
	}
	now := p.now()
	o := lifecycle.Owner{ID: named(p.cfg.Organization, "owner", n.Owner), Name: n.Owner}
	s := lifecycle.Snapshot{Owner: o, Template: t, Workspace: lifecycle.NewWorkspace(n.ID, t, o.ID, n.Name, now)}
	set, err := Schedule{Hours: n.Hours, Autostart: n.Autostart, Autostop: n.Autostop}.verb("NewWorkspace")
	if err == nil {
		s.Workspace, err = begun(s, set, now)
	}
	if err != nil {
		return s, err
	}
	if n.TTL != 0 {
		if s.Workspace, err = begun(s, lifecycle.SetTTL(n.TTL), now); err != nil {
			return s, invalid.As("NewWorkspace.TTL", err)
		}
	}
	return s, nil
}

// begun is a workspace that is not stored yet, after a verb.
func begun(s lifecycle.Snapshot, v lifecycle.Verb, now time.Time) (lifecycle.Workspace, error) {
	c, err := v(s, now)
	if errors.Is(err, lifecycle.ErrUnchanged) {
		return s.Workspace, nil
	}
	return c.Workspace, err
}

func (p *Plane) ensureOwner(ctx context.Context, o lifecycle.Owner, r request) error {
	if _, exists, err := p.bound.Owner(ctx, o.ID); err != nil || exists {
		return err
	}
	return p.writeOwner(ctx, lifecycle.Owner{}, o, r)
}

// created answers for a workspace that the store did not take: perhaps it has it already.
func (p *Plane) created(ctx context.Context, s lifecycle.Snapshot, failed error) (Workspace, error) {
	found, err := p.bound.Load(ctx, s.Workspace.ID)
	if err != nil || len(found) == 0 {
		return Workspace{}, fmt.Errorf("create workspace %s: %w", s.Workspace.Name, errors.Join(failed, err))
	}
	w := &found[0].Workspace
	if w.OwnerID != s.Owner.ID || w.TemplateID != s.Template.ID || w.Name != s.Workspace.Name {
		return Workspace{}, fmt.Errorf("workspace %s: %w", w.ID, ErrExists)
	}
	return WorkspaceOf(found[0]), nil
}
