package lifecycle

import (
	"time"

	"github.com/google/uuid"
)

// InOrganization guards a verb that is asked for on behalf of an organization: for a workspace of another one it is
// [ErrNotFound], as if there were none.
func InOrganization(organization uuid.UUID, v Verb) Verb {
	if v == nil {
		return nil // whoever is given it refuses it
	}
	return func(s Snapshot, now time.Time) (Change, error) {
		if s.Workspace.OrganizationID != organization {
			return Change{}, ErrNotFound
		}
		return v(s, now)
	}
}
