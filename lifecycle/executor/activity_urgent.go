package executor

import (
	"context"
	"maps"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

const (
	// nearDeadline is how far before a deadline activity is written at once.
	nearDeadline = 5 * time.Minute
	// farDeadline is how long it is believed that there is none.
	farDeadline = time.Hour
)

// urgency knows which activity has to be written at once: that of workspaces whose deadline is near, or that this process knows
// nothing of. A replica that ticks would otherwise stop what somebody uses, because it cannot know.
type urgency struct {
	// from is when activity of a workspace becomes urgent. The lock of the activity guards it.
	from map[uuid.UUID]time.Time
	// urgent is what the next flush writes, whenever it was written last.
	urgent map[uuid.UUID]bool
	// wanted has room for one: several signals become one flush.
	wanted chan struct{}
}

func newUrgency() urgency {
	return urgency{from: map[uuid.UUID]time.Time{}, urgent: map[uuid.UUID]bool{}, wanted: make(chan struct{}, 1)}
}

// used asks for a flush if the activity is urgent, of each workspace once a second at most. The caller holds the lock.
func (u *urgency) used(id uuid.UUID, at time.Time) {
	if at.Before(u.from[id]) {
		return
	}
	u.from[id], u.urgent[id] = at.Add(time.Second), true
	signal(u.wanted)
}

// learn notes the deadline of a workspace whose activity is being written. Half of what is left is not urgent, so that a bump of
// minutes makes no write of each activity; nor is what activity cannot move.
func (a *activity) learn(b *lifecycle.Build, id uuid.UUID, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	left := b.Deadline.Sub(now)
	switch {
	case b.Deadline.IsZero() || b.Deadline.Equal(b.MaxDeadline):
		a.from[id] = now.Add(farDeadline)
	case left > 0:
		a.from[id] = b.Deadline.Add(-min(nearDeadline, left/2))
	default:
		a.from[id] = now.Add(time.Second)
	}
}

// forget drops the instants that have come, for workspaces that nobody uses any more: activity is urgent without them as well.
func (a *activity) forget(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.from, func(_ uuid.UUID, from time.Time) bool { return from.Before(now) })
}

// wait waits for a time, or until activity is urgent.
func (a *activity) wait(ctx context.Context, clock quartz.Clock, d time.Duration) {
	timer := clock.NewTimer(d, "executor", "timeout")
	defer timer.Stop("executor", "timeout")
	select {
	case <-ctx.Done():
	case <-timer.C:
		a.forget(clock.Now("executor", "activity"))
	case <-a.wanted:
	}
}
