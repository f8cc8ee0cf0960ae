package executor

import (
	"context"
	"maps"
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
	// writing is what the flush that runs has taken out of last.
	writing map[uuid.UUID]time.Time
	// wrote is when the activity of a workspace was written last, kept for as long as a second write would come too soon.
	wrote map[uuid.UUID]time.Time
	// began is when the collection was empty last.
	began time.Time
	// flushing is held by the flush that runs, so that no other one mistakes an empty collection for a written one.
	flushing chan struct{}
	// suspects belong to the flush that runs.
	suspects suspects
	urgency
}

func newActivity() *activity {
	return &activity{
		last: map[uuid.UUID]time.Time{}, wrote: map[uuid.UUID]time.Time{}, flushing: make(chan struct{}, 1),
		suspects: suspects{}, urgency: newUrgency(),
	}
}

func (a *activity) add(id uuid.UUID, at, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.last) == 0 {
		a.began = now
	}
	a.last[id] = micros.Later(a.last[id], at)
	a.used(id, at)
}

// putBack ends a flush, and keeps what it could not write for the next one, which need not wait for a floor: that is between
// two writes, and this one was none.
func (a *activity) putBack(pending map[uuid.UUID]time.Time, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writing = nil
	if len(a.last) == 0 {
		a.began = now
	}
	for id, at := range pending {
		a.last[id], a.urgent[id] = micros.Later(a.last[id], at), true
	}
}

// take returns what is to be written at now: all of it, or what is urgent or was not written a moment ago.
func (a *activity) take(now time.Time, all bool) map[uuid.UUID]time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.wrote, func(_ uuid.UUID, at time.Time) bool { return !now.Before(at.Add(activityFloor)) })
	taken := map[uuid.UUID]time.Time{}
	for id, at := range a.last {
		if _, soon := a.wrote[id]; all || a.urgent[id] || !soon {
			taken[id] = at
			delete(a.last, id)
			delete(a.urgent, id)
		}
	}
	a.writing = maps.Clone(taken)
	return taken
}

func (a *activity) size() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.last)
}

// overdue reports whether something has been waiting for a time.
func (a *activity) overdue(now time.Time, wait time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.last) > 0 && !now.Before(a.began.Add(wait))
}

// apply brings a snapshot up to what is known of its use, so that a tick does not act against it. What a flush has not written
// yet counts too, however long that takes.
func (a *activity) apply(s *lifecycle.Snapshot, now time.Time) {
	a.mu.Lock()
	id := s.Workspace.ID
	last, known := a.last[id]
	writing, flushed := a.writing[id]
	a.mu.Unlock()
	if !known && !flushed {
		return
	}
	if c, err := lifecycle.Used(micros.Later(last, writing))(*s, now); err == nil {
		s.Workspace, s.Build = c.Workspace, c.Build
	}
}

// written forgets activity that a change of the workspace has carried along.
func (a *activity) written(id uuid.UUID, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.last[id].After(at) {
		delete(a.last, id)
	}
}

// done notes what a flush has written.
func (a *activity) done(ids []uuid.UUID, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		a.wrote[id] = now
	}
}

// activityFloor is the least time between two writes of the activity of one workspace, but for the last ones: a thousand
// people at work are a thousand rows a minute, not one for each of their keys.
const activityFloor = time.Minute

// Activity records that a workspace was used at an instant. It only notes it in memory, so a host may call it for every
// request; the latest use of each workspace is written every ActivityFlush while Run runs, each workspace at most once a
// minute, and when Run returns. Run writes it at once if the deadline that it moves is near, or not known here, because another
// replica that ticks knows nothing of it. A host that ticks itself has it written by Tick, after its work. A process that is
// killed loses no more than that. A tick of this process takes what it knows into account, written or not. Unknown workspaces
// are ignored. See [lifecycle.Used] for the effect.
func (c *Client) Activity(id uuid.UUID, at time.Time) {
	c.activity.add(id, at, c.clock.Now("executor", "activity"))
}

// FlushActivity writes the activity recorded so far. What cannot be written, because the store fails or ctx ends, is kept
// for the next flush, as is that of a workspace whose row somebody holds. A batch that takes too long keeps no other one from
// being written, and is halved until what is at fault is alone. Activity of a workspace whose change the store rejects is
// dropped, with a line in the log.
func (c *Client) FlushActivity(ctx context.Context) error {
	p := c.calm()
	p.all = true
	return c.flush(ctx, p)
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
		failed = !c.tryFlush(ctx, c.calm())
	}
}

// flushOverdue is for hosts that tick themselves: nobody else flushes there.
func (e *Executor) flushOverdue(ctx context.Context) {
	if !e.ran.Load() && e.activity.overdue(e.clock.Now("executor", "activity"), e.Client.cfg.ActivityFlush) {
		e.tryFlush(ctx, brief(e.Client.cfg.StoreTimeout))
	}
}

func (c *Client) tryFlush(ctx context.Context, p patience) (ok bool) {
	err := c.flush(ctx, p)
	if err != nil {
		warn(ctx, c.logger, "flush activity", err)
	}
	return err == nil
}

// flushAtEnd writes what is left when ctx has ended.
func (c *Client) flushAtEnd(ctx context.Context) {
	ctx, cancel := afterwards(ctx, c.clock)
	defer cancel()
	p := brief(c.cfg.StoreTimeout)
	p.all, p.last = true, true
	err := c.flush(ctx, p)
	if err != nil || c.activity.size() > 0 {
		c.logger.ErrorContext(ctx, "executor: activity lost", "workspaces", c.activity.size(), "error", err)
	}
}
