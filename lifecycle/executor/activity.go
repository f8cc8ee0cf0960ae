package executor

import (
	"context"
	"fmt"
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
	// flushing is held by the flush that runs, so that nobody takes an empty collection for a written one.
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

// Activity records that a workspace was used at an instant. It only remembers it, so it may be called for every request;
// what was seen is written every Config.ActivityFlush, before each tick, and when Run ends. A process that is killed loses
// at most that much. Unknown workspaces are ignored. See [Used] for what it does.
func (e *Executor) Activity(id uuid.UUID, at time.Time) { e.activity.add(id, at) }

// FlushActivity writes the activity collected so far. What could not be written, because the store failed or ctx ended,
// is kept for the next flush. Activity of a workspace whose change the store rejects is dropped, with a line in the log.
func (e *Executor) FlushActivity(ctx context.Context) error {
	select {
	case e.activity.flushing <- struct{}{}:
		defer func() { <-e.activity.flushing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	pending := e.activity.take()
	err := e.writeActivity(ctx, pending)
	for id, at := range pending {
		e.activity.add(id, at)
	}
	if err != nil {
		return fmt.Errorf("flush activity: %w", err)
	}
	return nil
}

// writeActivity writes activity in batches and takes out of pending what is done. What lost against another change stays
// in and is tried again at once, a few times: activity must not lose against the tick that follows.
func (e *Executor) writeActivity(ctx context.Context, pending map[uuid.UUID]time.Time) error {
	for range maxConflicts {
		ids := make([]uuid.UUID, 0, len(pending))
		for id := range pending {
			ids = append(ids, id)
		}
		for len(ids) > 0 {
			n := min(len(ids), e.cfg.BatchSize)
			if err := e.writeUsed(ctx, ids[:n], pending); err != nil {
				return err
			}
			ids = ids[n:]
		}
		if len(pending) == 0 {
			return nil
		}
	}
	return nil
}

func (e *Executor) writeUsed(ctx context.Context, ids []uuid.UUID, pending map[uuid.UUID]time.Time) error {
	found, err := e.store.Load(ctx, ids...)
	if err != nil {
		return err
	}
	now := micros.Of(e.clock.Now("executor", "activity"))
	lost := map[uuid.UUID]time.Time{}
	var changes []lifecycle.Change
	for _, s := range found {
		id := s.Workspace.ID
		if c, err := lifecycle.Used(pending[id])(s, now); err == nil {
			c.Events = e.topics.Filter(c.Events)
			changes = append(changes, c)
			lost[id] = pending[id]
		}
	}
	w := writer{store: e.store, now: now}
	verdicts, err := w.write(ctx, changes)
	if err != nil {
		return err
	}
	for i, v := range verdicts {
		id := changes[i].Workspace.ID
		if v.err != nil {
			e.cfg.Logger.WarnContext(ctx, "lifecycle: activity dropped", "workspace_id", id, "error", v.err)
		}
		if v.err != nil || v.outcome == lifecycle.Applied {
			delete(lost, id)
		}
	}
	for _, id := range ids {
		delete(pending, id)
	}
	for id, at := range lost {
		pending[id] = at
	}
	return nil
}

// runActivity flushes until ctx ends.
func (e *Executor) runActivity(ctx context.Context) {
	for {
		e.pause(ctx, e.cfg.ActivityFlush)
		if ctx.Err() != nil {
			return
		}
		if err := e.FlushActivity(ctx); err != nil && ctx.Err() == nil {
			e.warn(ctx, "flush activity", err)
		}
	}
}
