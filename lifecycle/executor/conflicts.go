package executor

import (
	"bytes"
	"context"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// conflicts are the workspaces whose change was a conflict, and the revisions that the changes were made from.
type conflicts map[uuid.UUID]int64

// held reports, of what is read again after a conflict, whether somebody holds its row: nothing has changed it since, and still
// it could not be written.
func (c conflicts) held(s *lifecycle.Snapshot) bool {
	revision, lost := c[s.Workspace.ID]
	return lost && revision == s.Workspace.Revision
}

// ids are the workspaces, in order.
func (c conflicts) ids() []uuid.UUID { return inOrder(maps.Keys(c)) }

// inOrder sorts ids, so that what is done to several workspaces is done alike each time.
func inOrder(ids iter.Seq[uuid.UUID]) []uuid.UUID {
	return slices.SortedFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
}

// lockWait waits between the attempts at what somebody holds. The zero value is that there was none.
type lockWait struct{ attempts int }

const (
	lockFirst = 5 * time.Millisecond
	lockLimit = 200 * time.Millisecond
	// lockAttempts of these pauses are about a second.
	lockAttempts = 10
)

// again waits before the next attempt. It reports false if there were enough.
func (l *lockWait) again(ctx context.Context, clock quartz.Clock) bool {
	if l.attempts++; l.attempts > lockAttempts {
		return false
	}
	pause(ctx, clock, backoff.Doubled(lockFirst, l.attempts-1, lockLimit))
	return true
}
