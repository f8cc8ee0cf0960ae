package workspaces

import (
	"context"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
)

// Committer is what a store must be able to do for pools of workspaces, beyond the contracts of both engines.
type Committer interface {
	// CommitMembers is [lifecycle.Store.Commit] for changes of which each comes with a member of a pool: both are written,
	// as Commit and PutMembers write them, or neither. A member that does not have the revision it names, or whose claim's
	// key another member has, makes its change a conflict. No two members of a call are the same or have the same key.
	// Where one change or its member is refused the error is a [*lifecycle.ChangeError] if the store knows which.
	CommitMembers(ctx context.Context, now time.Time, changes []lifecycle.Change, members []prewarm.Member) ([]lifecycle.Outcome, error)
}

// Paired says what is wrong with the arguments of CommitMembers: for stores.
func Paired(changes []lifecycle.Change, members []prewarm.Member) error {
	if len(changes) != len(members) {
		return fmt.Errorf("commit %s with %s: must be as many",
			text.Count(len(changes), "change", "changes"), text.Count(len(members), "member", "members"))
	}
	return nil
}
