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
}

func newActivity() *activity {
	return &activity{last: map[uuid.UUID]time.Time{}, flushing: make(chan struct{}, 1)}
}

func (a *activity) add(id uuid.UUID, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last[id] = micros.Later(a.last[id], at)
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
// request; the latest use of each workspace is written every ActivityFlush, before each tick, and when Run returns. A
// process that is killed loses no more than that. Unknown workspaces are ignored. See [lifecycle.Used] for the effect.
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
	for id, at := range pending {
		c.activity.add(id, at)
	}
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
		if change, err := lifecycle.Used(pending[id])(s, now); err == nil {
			change.Events = c.topics.Filter(change.Events)
			changes = append(changes, change)
			retry[id] = pending[id]
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
	for {
		pause(ctx, c.clock, c.cfg.ActivityFlush)
		if ctx.Err() != nil {
			return
		}
		if err := c.FlushActivity(ctx); err != nil && ctx.Err() == nil {
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
