package dormouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Option says something about one request.
type Option func(*request)

// By names who asks: it becomes the Actor of the request's events. It is written down, not checked.
func By(actor string) Option { return func(r *request) { r.actor = actor } }

// Note adds a remark of whoever asks: it becomes the Note of the request's events.
func Note(text string) Option { return func(r *request) { r.note = text } }

// IfRevision makes the request depend on the workspace being as the caller saw it: with another [Workspace.Revision] nothing is
// done, and the error is [ErrChanged]. 0 asks for nothing.
func IfRevision(revision int64) Option { return func(r *request) { r.revision = revision } }

// request is what the options of one call say.
type request struct {
	actor, note string
	revision    int64
}

// Limits of what a request says about itself.
const (
	maxActor = 200
	maxNote  = 4000
)

func requestOf(options []Option) (request, error) {
	var r request
	for _, o := range options {
		if o != nil {
			o(&r)
		}
	}
	if err := validText("actor", r.actor, maxActor); err != nil {
		return r, err
	}
	return r, validText("note", r.note, maxNote)
}

// validText refuses what cannot be shown as it was given.
func validText(field, s string, limit int) error {
	switch {
	case len(s) > limit:
		return invalid.New(field, s, "must not be longer than %d bytes", limit)
	case !text.Clear(s):
		return invalid.New(field, s, "must be UTF-8 without control and hidden characters")
	}
	return nil
}

// maxName bounds the names of templates, owners and workspaces.
const maxName = 128

func validName(field, name string) error {
	if strings.TrimSpace(name) == "" {
		return invalid.New(field, name, "must not be empty")
	}
	return validText(field, name, maxName)
}

// sign returns the verb with the request's actor and note in each of its events, for the revision asked for only. It stays pure.
func (r request) sign(v lifecycle.Verb) lifecycle.Verb {
	if r == (request{}) {
		return v
	}
	return func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		if r.revision != 0 && r.revision != s.Workspace.Revision {
			return lifecycle.Change{}, fmt.Errorf("it has revision %d, not %d: %w", s.Workspace.Revision, r.revision, ErrChanged)
		}
		c, err := v(s, now)
		if c.NewBuild {
			c.Build.Initiator = r.actor
		}
		for i := range c.Events {
			c.Events[i] = r.signed(c.Events[i])
		}
		return c, err
	}
}

// signed is an event with the request's actor and note.
func (r request) signed(e lifecycle.Event) lifecycle.Event {
	e.Actor, e.Note = r.actor, r.note
	return e
}

// signer is an updater that signs, for the verbs that another package applies.
type signer struct {
	p *Plane
	r request
}

func (s signer) Update(ctx context.Context, id uuid.UUID, v lifecycle.Verb) (lifecycle.Snapshot, error) {
	return s.p.workspaces().Update(ctx, id, s.r.sign(v))
}

func (p *Plane) now() time.Time { return micros.Of(p.cfg.Clock.Now("dormouse")) }
