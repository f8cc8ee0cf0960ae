package dormouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// Hold suspends rules for the workspace; the zero Hold ends a hold. Who asks and the note become part of the hold, unless it
// has its own.
func (p *Plane) Hold(ctx context.Context, id uuid.UUID, h Hold, options ...Option) (Workspace, error) {
	r, err := requestOf(options)
	if err != nil {
		return Workspace{}, err
	}
	return p.Update(ctx, id, lifecycle.SetHold(r.hold(h)), options...)
}

// hold completes a hold by who asks for it.
func (r request) hold(h Hold) Hold {
	if !h.Until.IsZero() {
		h.By, h.Note = cmp.Or(h.By, r.actor), cmp.Or(h.Note, r.note)
	}
	return h
}

// HoldTemplate suspends rules for all workspaces of a template, as [Plane.Hold] does for one. It is an event of the kind
// lifecycle.EventTemplateChanged.
func (p *Plane) HoldTemplate(ctx context.Context, id uuid.UUID, h Hold, options ...Option) error {
	r, err := requestOf(options)
	if err != nil {
		return err
	}
	for range maxStale {
		if err := p.holdTemplate(ctx, id, r.hold(h), r); !errors.Is(err, lifecycle.ErrStaleTemplate) {
			return err
		}
	}
	return fmt.Errorf("hold template %s: %w", id, executor.ErrConflict)
}

func (p *Plane) holdTemplate(ctx context.Context, id uuid.UUID, h Hold, r request) error {
	t, err := p.template(ctx, id)
	if err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	held := t
	held.Hold = h
	return p.writeTemplate(ctx, t, held, r)
}

// HoldAll suspends rules for every workspace of the store, of all organizations: in an incident, say. It is an event of the
// kind lifecycle.EventEngineChanged.
func (p *Plane) HoldAll(ctx context.Context, h Hold, options ...Option) error {
	r, err := requestOf(options)
	if err != nil {
		return err
	}
	e, err := p.store.Engine(ctx)
	if err != nil {
		return fmt.Errorf("hold everything: %w", err)
	}
	now, held := p.now(), e
	held.Hold = r.hold(h)
	err = p.client.Record(ctx, func(w lifecycle.Writer) error { return w.PutEngine(ctx, now, held) },
		r.signed(held.ChangedEvent(&e, now)))
	if err != nil {
		return fmt.Errorf("hold everything: %w", err)
	}
	return nil
}
