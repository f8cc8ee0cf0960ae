package executor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// activity collects the latest use of each workspace until it is written.
type activity struct {
	mu   sync.Mutex
	last map[uuid.UUID]time.Time
	// flushing is held by the flush that runs, so that no other one mistakes an empty collection for a written one.
	flushing chan struct{}
	urgency
}

func newActivity() *activity {
	return &activity{last: map[uuid.UUID]time.Time{}, flushing: make(chan struct{}, 1), urgency: newUrgency()}
}

func (a *activity) add(id uuid.UUID, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last[id] = micros.Later(a.last[id], at)
	a.used(id, at)
}

// putBack keeps what could not be written for the next flush.
func (a *activity) putBack(pending map[uuid.UUID]time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, at := range pending {
		a.last[id] = micros.Later(a.last[id], at)
	}
}

func (a *activity) take() map[uuid.UUID]time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	taken := a.last
	a.last = map[uuid.UUID]time.Time{}
	return taken
}

func (a *activity) size() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.last)
}

// Activity records that a workspace was used at an instant. It only notes it in memory, so a host may call it for every
// request; the latest use of each workspace is written every ActivityFlush, before each tick, and when Run returns. Run writes
// it at once if the deadline that it moves is near, or not known here, because another replica that ticks knows nothing of
// it. A process that is killed loses no more than ActivityFlush. Unknown workspaces are ignored. See [lifecycle.Used] for the
// effect.
func (c *Client) Activity(id uuid.UUID, at time.Time) { c.activity.add(id, at) }

// FlushActivity writes the activity recorded so far. What cannot be written, because the store fails or ctx ends, is kept
// for the next flush. Activity of a workspace whose change the store rejects is dropped, with a line in the log.
func (c *Client) FlushActivity(ctx context.Context) error {
	select {
	case c.activity.flushing <- struct{}{}:
		defer func() { <-c.activity.flushing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	pending := c.activity.take()
	err := c.writeActivity(ctx, pending)
	c.activity.putBack(pending)
	if err != nil {
		return fmt.Errorf("flush activity: %w", err)
	}
	return nil
}

// writeActivity writes activity in batches and removes from pending what is done. What was in conflict with another change
// is tried again at once, a few times, so that activity does not lose against the tick that follows.
func (c *Client) writeActivity(ctx context.Context, pending map[uuid.UUID]time.Time) error {
	for range maxConflicts {
		for ids := range slices.Chunk(slices.Collect(maps.Keys(pending)), c.cfg.BatchSize) {
			if err := c.writeUsed(ctx, ids, pending); err != nil {
				return err
			}
		}
		if len(pending) == 0 {
			return nil
		}
	}
	return nil
}

func (c *Client) writeUsed(ctx context.Context, ids []uuid.UUID, pending map[uuid.UUID]time.Time) error {
	found, err := c.store.Load(ctx, ids...)
	if err != nil {
		return err
	}
	now := micros.Of(c.clock.Now("executor", "activity"))
	retry := map[uuid.UUID]time.Time{}
	var changes []lifecycle.Change
	for _, s := range found {
		id := s.Workspace.ID
		c.activity.learn(&s.Build, id, now)
		if change, err := lifecycle.Used(pending[id])(s, now); err == nil {
			change.Events = c.topics.Filter(change.Events)
			changes = append(changes, change)
			retry[id] = pending[id]
			c.activity.learn(&change.Build, id, now)
		}
	}
	verdicts, err := c.write(ctx, now, changes)
	if err != nil {
		return err
	}
	for i, v := range verdicts {
		id := changes[i].Workspace.ID
		if v.err != nil {
			c.logger.WarnContext(ctx, "executor: activity dropped", "workspace_id", id, "error", v.err)
		}
		if v.err != nil || v.applied() {
			delete(retry, id)
		}
	}
	for _, id := range ids {
		delete(pending, id)
	}
	maps.Copy(pending, retry)
	return nil
}

// runActivity flushes until ctx ends.
func (c *Client) runActivity(ctx context.Context) {
	failed := false
	for {
		if failed {
			pause(ctx, c.clock, c.cfg.ActivityFlush) // a store that fails is not asked for each activity
		} else {
			c.activity.wait(ctx, c.clock, c.cfg.ActivityFlush)
		}
		if ctx.Err() != nil {
			return
		}
		err := c.FlushActivity(ctx)
		if failed = err != nil; failed && ctx.Err() == nil {
			warn(ctx, c.logger, "flush activity", err)
		}
	}
}

// flushAtEnd writes what is left when ctx has ended.
func (c *Client) flushAtEnd(ctx context.Context) {
	ctx, cancel := afterwards(ctx, c.clock)
	defer cancel()
	if err := c.FlushActivity(ctx); err != nil {
		c.logger.ErrorContext(ctx, "executor: activity lost", "workspaces", c.activity.size(), "error", err)
	}
}
