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
	// since is when it was met first. For a while it is only suspected: it may be a commit of somebody else on its way.
	since     time.Time
	suspected bool
	// until is when it is tried again; zero is at once.
	until time.Time
	// yields is until when it takes no place from others, where places are limited.
	yields time.Time
}

// obstacles are those that this process has met, so that they can be shown, and so that what a store refuses altogether is
// not tried at every tick.
type obstacles struct {
	mu sync.Mutex
	of map[uuid.UUID]obstacle
}

// refused remembers that the store does not take a workspace. It is not tried again for a while, which grows.
func (o *obstacles) refused(s *lifecycle.Snapshot, err error, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.next(s, err)
	wait := backoff.Doubled(time.Minute, next.attempts-1, time.Hour)
	next.until = now.Add(wait + backoff.Spread(wait, s.Workspace.ID, uint64(next.attempts)))
	o.of[s.Workspace.ID] = next
}

const (
	// lockedFor is how long a row may be held by a commit on its way.
	lockedFor = time.Second
	// yieldFirst and yieldLimit are how long a row that was held takes no place from others. Once in such a time it has the
	// place of its age, because what is never tried is not found to be free either.
	yieldFirst = 2 * time.Minute
	yieldLimit = 10 * time.Minute
)

// locked remembers that somebody holds a workspace's row at an instant of the clock, and returns whether for too long, and
// whether that is news then.
func (o *obstacles) locked(s *lifecycle.Snapshot, at time.Time) (held, news bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.next(s, errLocked)
	was := next.suspected
	if next.since.IsZero() {
		next.since = at
	}
	next.suspected = at.Sub(next.since) < lockedFor
	next.yields = at.Add(backoff.Doubled(yieldFirst, next.attempts-1, yieldLimit))
	o.of[s.Workspace.ID] = next
	return !next.suspected, was
}

// next is what a workspace's obstacle becomes when it is met once more. The caller holds the lock.
func (o *obstacles) next(s *lifecycle.Snapshot, err error) obstacle {
	next := obstacle{revision: s.Workspace.Revision, err: err, attempts: 1}
	if was := o.of[s.Workspace.ID]; was.revision == next.revision {
		next.attempts += was.attempts
		next.since, next.suspected = was.since, was.suspected
	}
	return next
}

// find returns the obstacle of a workspace. One that has changed since has none, and a suspicion is none.
func (o *obstacles) find(s *lifecycle.Snapshot) (obstacle, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	found, ok := o.of[s.Workspace.ID]
	return found, ok && found.revision == s.Workspace.Revision && !found.suspected
}

// yieldsAt reports whether somebody held a workspace's row shortly before an instant of the clock, so that it takes no place
// from others.
func (o *obstacles) yieldsAt(s *lifecycle.Snapshot, at time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := o.of[s.Workspace.ID]
	return found.revision == s.Workspace.Revision && at.Before(found.yields)
}

// clear forgets the obstacles of workspaces.
func (o *obstacles) clear(ids ...uuid.UUID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		delete(o.of, id)
	}
}

// forget forgets them all.
func (o *obstacles) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.of)
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
