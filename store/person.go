package store

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/unread"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Forgetter removes a person from all that the engines keep. Every store of this library is one.
//
// What was the person's is deleted: the owner, their deleted workspaces with all builds, their jobs that are over with logs
// and histories, their turns in line, notices that still wait for them. Where they acted on what is others', in holds, builds,
// retries, pauses, pool claims that are over, and events that wait for delivery, the pseudonym takes the place of name and id,
// and what they noted goes. What happened, when, and to which workspace stays. So does what a later version has stored and this one
// cannot read, but for the state of templates and the engine, in which their names are looked for: a fleet of two versions forgets by
// the newer one.
type Forgetter interface {
	// Forget forgets a person, all or nothing. While they own a workspace that is not deleted, a job that is not over, or a
	// pool member that is not gone, it is [lifecycle.ErrInUse] and has no effect. A person nobody knows is no error, so it
	// can be called again. It reads most of what there is: its cost is linear in builds, jobs and workspaces.
	Forget(ctx context.Context, p Person) error
}

// Person is somebody to be forgotten.
type Person struct {
	// ID is their owner id, and the tenant of their jobs.
	ID uuid.UUID
	// Organization restricts it to workspaces, templates, jobs and pauses of an organization, uuid.Nil to nothing. An owner
	// who has workspaces in another one is kept then, and so is what is in it. What is of no organization, the pools and the
	// hold of everything, is always included.
	Organization uuid.UUID
	// Names are what they are called where somebody acts: [lifecycle.Hold.By], [lifecycle.Build.Initiator],
	// [lifecycle.Event.Actor], By of the queue's and the pools' operators, owners of pool members. At most 100.
	Names []string
	// Pseudonym takes the place of ID and, as text, of the names. It should be random, and another one for each person.
	Pseudonym uuid.UUID
}

// maxPersonNames bounds what one call compares with.
const maxPersonNames = 100

// Validate says which field cannot be used, as an [*invalid.Error].
func (p *Person) Validate() error {
	switch {
	case p.ID == uuid.Nil && len(p.Names) == 0:
		return invalid.New("Person.ID", p.ID, "must be set if there are no Names")
	case slices.Contains(p.Names, ""):
		return invalid.New("Person.Names", p.Names, "must not be empty texts")
	case len(p.Names) > maxPersonNames:
		return invalid.New("Person.Names", len(p.Names), "must be at most %d", maxPersonNames)
	case p.Pseudonym == uuid.Nil || p.Pseudonym == p.ID:
		return invalid.New("Person.Pseudonym", p.Pseudonym, "must be an id that is nobody's")
	}
	return nil
}

// Is reports whether a name is one of theirs.
func (p *Person) Is(name string) bool { return slices.Contains(p.Names, name) }

// Within reports whether what belongs to an organization is included.
func (p *Person) Within(organization uuid.UUID) bool {
	return p.Organization == uuid.Nil || p.Organization == organization
}

// LeaveHold takes them out of a hold, and reports whether they were in it.
func (p *Person) LeaveHold(h *lifecycle.Hold) bool { return h.Redact(p.Names, p.Pseudonym.String()) }

// LeaveTemplate takes them out of the hold of a template, and of what this version cannot read of its state.
func (p *Person) LeaveTemplate(t *lifecycle.Template) bool {
	return t.Redact(p.Names, p.Pseudonym.String())
}

// LeaveEngine takes them out of the state of the engine in the same way.
func (p *Person) LeaveEngine(e *lifecycle.Engine) bool {
	return e.Redact(p.Names, p.Pseudonym.String())
}

// LeaveEvent takes them out of an event that waits for delivery. An event that is not to be kept was for nobody else. What is
// about a workspace and does not say of which organization, as events of earlier versions do, the store has looked up.
func (p *Person) LeaveEvent(e *lifecycle.Event) (found, keep bool) {
	if (e.OrganizationID != uuid.Nil || e.WorkspaceID == uuid.Nil && e.Subject() != uuid.Nil) && !p.Within(e.OrganizationID) {
		return false, true
	}
	owned := p.ID != uuid.Nil && e.OwnerID == p.ID
	if owned && e.Topic == lifecycle.TopicNotice {
		return true, false
	}
	if owned {
		e.OwnerID, e.Message, e.Note = p.Pseudonym, "", ""
		if e.Job != nil {
			e.Job.OwnerID = p.Pseudonym
		}
	}
	acted := p.Is(e.Actor)
	if acted {
		// A message of the engine's own words may repeat who acted.
		e.Actor, e.Message, e.Note = p.Pseudonym.String(), "", ""
	}
	return owned || acted, true
}

// LeaveAttempts takes them out of the history of somebody else's job, and reports whether they were in it.
func (p *Person) LeaveAttempts(history []queue.Attempt) (found bool) {
	for i := range history {
		if a := &history[i]; p.Is(a.By) {
			a.By, a.Error, found = p.Pseudonym.String(), "", true
		}
	}
	return found
}

// RewriteEvent does what LeaveEvent does with the JSON of an event, and keeps what a later version has stored in it. Next is the text
// to store instead; nil where found is true means that the event is to be deleted. One that cannot be read is no error: it stays as it
// is, and is pruned by its age. The only error is that an event cannot be written as JSON.
func (p *Person) RewriteEvent(text []byte) (next []byte, found bool, err error) {
	var e lifecycle.Event
	if json.Unmarshal(text, &e) != nil {
		return nil, false, nil
	}
	rest, err := unread.Of(text, e)
	if err != nil {
		return nil, false, err
	}
	found, keep := p.LeaveEvent(&e)
	if !found || !keep {
		return nil, found, nil
	}
	next, err = unread.Write(e, rest)
	return next, true, err
}

// RewriteAttempts does what LeaveAttempts does with the JSON of a history, and keeps what a later version has stored in it. Next is the
// text to store instead where found is true. A history that cannot be read is no error: it stays as it is.
func (p *Person) RewriteAttempts(text []byte) (next []byte, found bool, err error) {
	var history []queue.Attempt
	if json.Unmarshal(text, &history) != nil {
		return nil, false, nil
	}
	rest, err := unread.Of(text, history)
	if err != nil || !p.LeaveAttempts(history) {
		return nil, false, err
	}
	next, err = unread.Write(history, rest)
	return next, true, err
}
