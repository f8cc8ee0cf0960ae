package dormouse

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// Forget removes a person from what the plane keeps of its organization: the owner, who is named as in [Plane.PutOwner], with
// their deleted workspaces and all that came of them, and what they are called where they acted for others, for which a random
// pseudonym is put. The names are those that [By] was given for them, beside the owner's own. While they have a workspace that
// is not deleted, a job that is not over, or a machine of a pool, it is [lifecycle.ErrInUse]. See [store.Forgetter] for
// what goes and what stays, and docs/security.md for what no library reaches.
func (p *Plane) Forget(ctx context.Context, o Owner, names ...string) error {
	owner, err := p.newOwner(&o)
	if err != nil {
		return err
	}
	forgetter, ok := lifecycle.Ability[store.Forgetter](p.store)
	if !ok {
		return fmt.Errorf("forget a person: the store forgets nobody: %w", errors.ErrUnsupported)
	}
	person := store.Person{
		ID: owner.ID, Organization: p.cfg.Organization, Names: append([]string{owner.Name}, names...), Pseudonym: uuid.New(),
	}
	if err := forgetter.Forget(ctx, person); err != nil {
		return err
	}
	p.cfg.Logger.InfoContext(ctx, "dormouse: person forgotten", "pseudonym", person.Pseudonym)
	return nil
}
