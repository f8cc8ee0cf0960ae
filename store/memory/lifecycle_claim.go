package memory

import (
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/form"
)

// ownedName is a name that its owner has given to a workspace.
type ownedName struct {
	owner uuid.UUID
	name  string
}

func nameOf(w *lifecycle.Workspace) ownedName { return ownedName{w.OwnerID, form.Text(w.Name)} }

// claimable says whether a workspace may change hands; taken are the names that claims of the batch have got. The caller
// holds the lock.
func (s *Store) claimable(slot uint32, c *lifecycle.Change, taken map[ownedName]bool) (lifecycle.Outcome, error) {
	o, ok := s.owners.get(c.Workspace.OwnerID)
	if !ok {
		return lifecycle.Applied, invalid.New("Workspace.OwnerID", c.Workspace.OwnerID, "is unknown")
	}
	if o.Status == lifecycle.OwnerSuspended || o.Rules != c.Workspace.Seen.Owner {
		return lifecycle.Conflict, nil
	}
	wanted := nameOf(&c.Workspace)
	used := taken[wanted]
	s.fleet.each(o.members, ofOwner, func(other uint32, r *row) {
		used = used || other != slot && r.flags&deleted == 0 && s.fleet.names.get(r.name) == wanted.name
	})
	if used {
		return lifecycle.NameTaken, nil
	}
	return lifecycle.Applied, nil
}

// handOver writes the owner and the name of a workspace.
func (s *Store) handOver(slot uint32, r *row, w *lifecycle.Workspace) {
	f := &s.fleet
	f.unlink(&s.owners.rows[r.owner].members, slot, ofOwner)
	r.owner = s.owners.slots[w.OwnerID]
	f.link(&s.owners.rows[r.owner].members, slot, ofOwner)
	f.names.forget(r.name)
	r.name = f.names.put(form.Text(w.Name))
}
