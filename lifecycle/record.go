package lifecycle

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Recorder keeps events of what people put into a store, as [Store.Commit] keeps those of a change.
type Recorder interface {
	// Recording returns a [Writer] each of whose writes takes the events with it: both are there together, or neither is. A
	// write that the store refuses leaves no event. An event about no workspace stands in the line of its [Event.Subject].
	Recording(events ...Event) Writer
}

// Writer is the half of [Registry] and [Holder] that writes; the methods are theirs.
type Writer interface {
	PutTemplate(ctx context.Context, now time.Time, t Template) error
	PutOwner(ctx context.Context, now time.Time, o Owner) error
	PutEngine(ctx context.Context, now time.Time, e Engine) error
	CreateWorkspaces(ctx context.Context, now time.Time, workspaces ...Workspace) error
}

// Kinds of events about what people put into a store. Message says what they changed.
const (
	// EventCreated: the workspace was made.
	EventCreated EventKind = "workspace.created"
	// EventTemplateChanged: the template TemplateID was made, or has other settings, or a hold until Until.
	EventTemplateChanged EventKind = "template.changed"
	// EventOwnerChanged: the owner OwnerID was made, or has other settings.
	EventOwnerChanged EventKind = "owner.changed"
	// EventEngineChanged: what holds for everything was changed, such as a hold until Until.
	EventEngineChanged EventKind = "engine.changed"
)

// Subject is what an event is about: its workspace, or else its template, or else its owner, and [uuid.Nil] if it is about
// everything. The events of one subject and topic are delivered in order.
func (e *Event) Subject() uuid.UUID {
	for _, id := range []uuid.UUID{e.WorkspaceID, e.TemplateID} {
		if id != uuid.Nil {
			return id
		}
	}
	return e.OwnerID
}

// CreatedEvent tells of a new workspace.
func (w *Workspace) CreatedEvent(now time.Time) Event {
	return Event{Kind: EventCreated, Message: w.Name}.of(w, 0, TopicAudit, now)
}

// ChangedEvent tells how a template differs from the one before, which is zero for a new one.
func (t *Template) ChangedEvent(old *Template, now time.Time) Event {
	e := Event{
		Topic: TopicAudit, Kind: EventTemplateChanged, At: now,
		OrganizationID: t.OrganizationID, TemplateID: t.ID, Revision: t.Revision,
	}
	if old.ID != t.ID {
		e.Message = "new: " + t.Name
		return e
	}
	var said []string
	if old.Name != t.Name {
		said = append(said, "name: "+t.Name)
	}
	if old.ActiveVersionID != t.ActiveVersionID {
		said = append(said, "version: "+t.ActiveVersionID.String())
	}
	if !old.Policy.Equal(t.Policy) {
		said = append(said, "policy")
	}
	e.tell(append(said, holdChange(&old.Hold, &t.Hold)...), &t.Hold)
	return e
}

// ChangedEvent tells how an owner differs from the one before, which is zero for a new one.
func (o *Owner) ChangedEvent(old *Owner, now time.Time) Event {
	e := Event{Topic: TopicAudit, Kind: EventOwnerChanged, At: now, OwnerID: o.ID}
	if old.ID != o.ID {
		e.Message = "new: " + o.Name
		return e
	}
	var said []string
	if old.Name != o.Name {
		said = append(said, "name: "+o.Name)
	}
	if old.Status != o.Status {
		said = append(said, "status: "+o.Status.String())
	}
	if text := o.QuietHours.Text(); old.QuietHours.Text() != text {
		said = append(said, fmt.Sprintf("quiet hours: %q", text))
	}
	e.tell(said, &Hold{})
	return e
}

// ChangedEvent tells how what holds for everything differs from before.
func (n *Engine) ChangedEvent(old *Engine, now time.Time) Event {
	e := Event{Topic: TopicAudit, Kind: EventEngineChanged, At: now}
	said := holdChange(&old.Hold, &n.Hold)
	if !old.DeletionsReleasedUntil.Equal(n.DeletionsReleasedUntil) {
		said = append(said, "brake on deletions released until "+n.DeletionsReleasedUntil.UTC().Format(time.RFC3339))
	}
	e.tell(said, &n.Hold)
	return e
}

func (e *Event) tell(said []string, h *Hold) {
	e.Message, e.Until = cutMessage(strings.Join(said, "; ")), h.Until
}

// holdChange says that a hold began, or another one, or none.
func holdChange(old, next *Hold) []string {
	switch {
	case *old == *next:
		return nil
	case next.Until.IsZero():
		return []string{"hold ended"}
	}
	return []string{"hold until " + next.Until.UTC().Format(time.RFC3339) + ": " + next.describe()}
}
