package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/store/form"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// PutTemplate implements [lifecycle.Registry].
func (s *Store) PutTemplate(ctx context.Context, now time.Time, t lifecycle.Template) error {
	return s.Recording().PutTemplate(ctx, now, t)
}

// PutTemplate implements [lifecycle.Writer].
func (r recording) PutTemplate(ctx context.Context, now time.Time, t lifecycle.Template) error {
	err := r.write(ctx, func(s *Store) error { return s.putTemplate(now, t) })
	return wrap(err, "put %w")
}

func (s *Store) putTemplate(now time.Time, t lifecycle.Template) error {
	var old lifecycle.Template
	if row, ok := s.templates.get(t.ID); ok {
		old = row.Template
	}
	t, err := lifecycle.ReplaceTemplate(old, t, now)
	if err != nil {
		return err
	}
	t.Name = form.Text(t.Name)
	row := s.templates.put(t.ID)
	row.Template = t
	s.fleet.wakeAll(row.members, ofTemplate, now)
	return nil
}

// PutOwner implements [lifecycle.Registry].
func (s *Store) PutOwner(ctx context.Context, now time.Time, o lifecycle.Owner) error {
	return s.Recording().PutOwner(ctx, now, o)
}

// PutOwner implements [lifecycle.Writer].
func (r recording) PutOwner(ctx context.Context, now time.Time, o lifecycle.Owner) error {
	err := r.write(ctx, func(s *Store) error { return s.putOwner(now, o) })
	return wrap(err, "put %w")
}

func (s *Store) putOwner(now time.Time, o lifecycle.Owner) error {
	var old lifecycle.Owner
	if row, ok := s.owners.get(o.ID); ok {
		old = row.Owner
	}
	o, err := lifecycle.ReplaceOwner(old, o, now)
	if err != nil {
		return err
	}
	o.Name = form.Text(o.Name)
	row := s.owners.put(o.ID)
	row.Owner = o
	s.fleet.wakeAll(row.members, ofOwner, now)
	return nil
}

// PutEngine implements [lifecycle.Holder].
func (s *Store) PutEngine(ctx context.Context, now time.Time, e lifecycle.Engine) error {
	return s.Recording().PutEngine(ctx, now, e)
}

// PutEngine implements [lifecycle.Writer].
func (r recording) PutEngine(ctx context.Context, now time.Time, e lifecycle.Engine) error {
	err := r.write(ctx, func(s *Store) error { return s.putEngine(now, e) })
	return wrap(err, "put engine: %w")
}

func (s *Store) putEngine(now time.Time, e lifecycle.Engine) error {
	e, err := lifecycle.ReplaceEngine(s.engine, e, now)
	if err != nil {
		return err
	}
	s.engine = e
	s.wakeEverything(now)
	return nil
}

// Engine implements [lifecycle.Holder].
func (s *Store) Engine(ctx context.Context) (lifecycle.Engine, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.engine, ctx.Err()
}

// wakeAll makes the workspaces of a chain due at once, with a new revision. One that is due already stays due since then:
// the clock of whoever calls may be ahead.
func (f *fleet) wakeAll(c chain, of linkOf, now time.Time) {
	f.each(c, of, func(slot uint32, r *row) {
		if r.flags&deleted != 0 {
			return
		}
		r.revision++
		wake := micros(now)
		if r.wakeAt != never {
			wake = min(wake, r.wakeAt)
		}
		f.reindex(slot, r, wake, false)
	})
}

// CreateWorkspaces implements [lifecycle.Registry].
func (s *Store) CreateWorkspaces(ctx context.Context, now time.Time, workspaces ...lifecycle.Workspace) error {
	return s.Recording().CreateWorkspaces(ctx, now, workspaces...)
}

// CreateWorkspaces implements [lifecycle.Writer].
func (r recording) CreateWorkspaces(ctx context.Context, now time.Time, workspaces ...lifecycle.Workspace) error {
	if len(workspaces) == 0 {
		return ctx.Err()
	}
	return r.write(ctx, func(s *Store) error {
		if err := s.creatable(workspaces); err != nil {
			return err
		}
		for i := range workspaces {
			s.create(now, &workspaces[i])
		}
		return nil
	})
}

func (s *Store) creatable(workspaces []lifecycle.Workspace) error {
	seen := make(map[uuid.UUID]bool, len(workspaces))
	for i := range workspaces {
		w := &workspaces[i]
		if err := w.Validate(); err != nil {
			return fmt.Errorf("create workspace %s: %w", w.ID, err)
		}
		_, exists := s.fleet.slots[w.ID]
		_, owner := s.owners.get(w.OwnerID)
		_, template := s.templates.get(w.TemplateID)
		switch {
		case exists || seen[w.ID]:
			return fmt.Errorf("create workspace %s: %w", w.ID, invalid.New("Workspace.ID", w.ID, "exists already"))
		case !owner:
			return fmt.Errorf("create workspace %s: %w", w.ID, invalid.New("Workspace.OwnerID", w.OwnerID, "is unknown"))
		case !template:
			return fmt.Errorf("create workspace %s: %w", w.ID, invalid.New("Workspace.TemplateID", w.TemplateID, "is unknown"))
		}
		seen[w.ID] = true
	}
	return nil
}

func (s *Store) create(now time.Time, w *lifecycle.Workspace) {
	f := &s.fleet
	slot := f.rows.add()
	r := f.rows.at(slot)
	r.id, r.organization = w.ID, w.OrganizationID
	r.owner, r.template = s.owners.slots[w.OwnerID], s.templates.slots[w.TemplateID]
	r.name, r.createdAt, r.revision = f.names.put(form.Text(w.Name)), micros(w.CreatedAt), 1
	r.wakeAt = never
	r.flags = deleted // until reindex puts it among those that are not
	f.slots[w.ID] = slot
	f.link(&s.owners.rows[r.owner].members, slot, ofOwner)
	f.link(&s.templates.rows[r.template].members, slot, ofTemplate)
	created := *w
	created.WakeAt = now
	created.Seen = lifecycle.Seen{Template: s.templates.rows[r.template].Rules, Owner: s.owners.rows[r.owner].Rules}
	f.write(slot, &created)
}

// Template implements [lifecycle.Registry].
func (s *Store) Template(ctx context.Context, id uuid.UUID) (lifecycle.Template, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if row, ok := s.templates.get(id); ok {
		return row.Template, true, ctx.Err()
	}
	return lifecycle.Template{}, false, ctx.Err()
}

// Owner implements [lifecycle.Registry].
func (s *Store) Owner(ctx context.Context, id uuid.UUID) (lifecycle.Owner, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if row, ok := s.owners.get(id); ok {
		return row.Owner, true, ctx.Err()
	}
	return lifecycle.Owner{}, false, ctx.Err()
}
