package executor

import (
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// errLocked says why a change whose revision is still the right one was a conflict.
var errLocked = errors.New("its row is locked by another transaction")

// obstacle is what is in the way of a workspace and cannot be written down in it.
type obstacle struct {
	revision int64
	err      error
	attempts int
	// until is when it is tried again; zero is at once.
	until time.Time
}

// obstacles are those that this process has met, so that they can be shown, and so that what a store refuses altogether is
// not tried at every tick.
type obstacles struct {
	mu sync.Mutex
	of map[uuid.UUID]obstacle
}

// note remembers an obstacle. With a pause it is not tried again for a while, which grows.
func (o *obstacles) note(s *lifecycle.Snapshot, err error, now time.Time, pause bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id := s.Workspace.ID
	next := obstacle{revision: s.Workspace.Revision, err: err, attempts: 1}
	if was, ok := o.of[id]; ok && was.revision == next.revision {
		next.attempts += was.attempts
	}
	if pause {
		wait := backoff.Doubled(time.Minute, next.attempts-1, time.Hour)
		next.until = now.Add(wait + backoff.Spread(wait, id, uint64(next.attempts)))
	}
	if o.of == nil {
		o.of = map[uuid.UUID]obstacle{}
	}
	o.of[id] = next
}

// find returns the obstacle of a workspace. One that has changed since has none.
func (o *obstacles) find(s *lifecycle.Snapshot) (obstacle, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	found, ok := o.of[s.Workspace.ID]
	return found, ok && found.revision == s.Workspace.Revision
}

// clear forgets the obstacles of workspaces.
func (o *obstacles) clear(ids ...uuid.UUID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		delete(o.of, id)
	}
}

// show has a snapshot tell of its obstacle as it would of one that is written down.
func (o *obstacles) show(s *lifecycle.Snapshot, now time.Time, interval time.Duration) {
	found, ok := o.find(s)
	if !ok {
		return
	}
	until := found.until
	if !until.After(now) {
		until = now.Add(interval)
	}
	s.Workspace.Backoff = lifecycle.Backoff{Until: until, Attempts: found.attempts, Cause: lifecycle.SkipStore, Message: found.err.Error()}
}
