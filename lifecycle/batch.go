package lifecycle

import (
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
)

// ValidateBatch reports two changes of one workspace in a commit, as a [*ChangeError]: they could not both have the right
// revision. Stores call it first.
func ValidateBatch(changes []Change) error {
	if len(changes) < 2 {
		return nil
	}
	seen := make(map[uuid.UUID]struct{}, len(changes))
	for i := range changes {
		id := changes[i].Workspace.ID
		if _, twice := seen[id]; twice {
			return &ChangeError{WorkspaceID: id, Err: invalid.New("changes", id, "must not concern a workspace twice")}
		}
		seen[id] = struct{}{}
	}
	return nil
}
