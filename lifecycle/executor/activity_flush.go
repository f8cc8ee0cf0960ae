package executor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/breaker"
	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// patience is how long a flush waits for what takes too long.
type patience struct {
	// limit is how long a batch may take, batches how many may take longer before the flush ends: it is the store then.
	limit   time.Duration
	batches int
	// all: what was written a moment ago is written again. last: no flush comes after this one.
	all, last bool
}

// calm is the patience of a flush that nothing waits for: that of its two calls of the store.
func (c *Client) calm() patience { return patience{limit: 2 * c.cfg.StoreTimeout, batches: 2} }

// brief is the patience of a flush that somebody waits for: it ends within the grace of a Run that ends, and finds the one of a
// batch of a hundred that is at fault.
func brief(storeTimeout time.Duration) patience {
	return patience{limit: min(storeTimeout, shutdownGrace/10), batches: 8}
}

// flush writes what is to be written now.
func (c *Client) flush(ctx context.Context, p patience) error {
	if ctx == nil {
		return invalid.New("ctx", nil, "is required")
	}
	select {
	case c.activity.flushing <- struct{}{}:
		defer func() { <-c.activity.flushing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	now := c.clock.Now("executor", "activity")
	f := flush{Client: c, patience: p, pending: c.activity.take(now, p.all), lost: conflicts{}, held: map[uuid.UUID]time.Time{}}
	f.wait(now)
	err := f.write(ctx)
	maps.Copy(f.pending, f.held)
	c.activity.putBack(f.pending, now)
	if err != nil {
		return fmt.Errorf("flush activity: %w", err)
	}
	return nil
}

// flush is one flush.
type flush struct {
	*Client
	patience
	pending map[uuid.UUID]time.Time
	// lost are changes that were conflicts; held is the activity that this flush leaves to the next one, because somebody holds
	// the row, or because its time has not come.
	lost conflicts
	held map[uuid.UUID]time.Time
	// late is how many batches took too long; left is why what hangs alone is left to a later flush.
	late int
	left error
}

// suspects are the workspaces whose activity was in a batch that took too long: one of them is at fault, or the store. Those
// of such a batch are tried by halves, until the one is alone; it waits longer each time then.
type suspects map[uuid.UUID]suspect

type suspect struct {
	// group is how many are written together with it at most, alone how long it is left alone after it failed by itself.
	group int
	alone breaker.Breaker
}

const (
	suspectFirst   = time.Minute
	suspectLongest = time.Hour
)

// failed notes a batch that took too long.
func (s suspects) failed(ids []uuid.UUID, now time.Time) {
	for _, id := range ids {
		one := s[id]
		one.group = max(1, len(ids)/2)
		if len(ids) == 1 {
			one.alone.First, one.alone.Max = suspectFirst, suspectLongest
			one.alone.Fail(now)
		}
		s[id] = one
	}
}

// batches divides activity into what is written together: what nobody suspects first, then the larger halves.
func (s suspects) batches(pending map[uuid.UUID]time.Time, size int) (all [][]uuid.UUID) {
	groups := map[int][]uuid.UUID{}
	for _, id := range inOrder(maps.Keys(pending)) {
		n := size
		if one, ok := s[id]; ok {
			n = one.group
		}
		groups[n] = append(groups[n], id)
	}
	for _, n := range slices.SortedFunc(maps.Keys(groups), func(a, b int) int { return cmp.Compare(b, a) }) {
		all = slices.AppendSeq(all, slices.Chunk(groups[n], n))
	}
	return all
}

// wait leaves to a later flush what has its time then, and forgets who has nothing to write any more.
func (f *flush) wait(now time.Time) {
	maps.DeleteFunc(f.activity.suspects, func(id uuid.UUID, one suspect) bool {
		at, pending := f.pending[id]
		if pending && !f.last && one.alone.Wait(now) > 0 {
			f.held[id] = at
			delete(f.pending, id)
		}
		return !pending
	})
}

// write writes activity in batches and removes from pending what is done. What was in conflict with another change is tried
// again at once, a few times, so that activity does not lose against the tick that follows.
func (f *flush) write(ctx context.Context) error {
	for range maxConflicts {
		for _, ids := range f.activity.suspects.batches(f.pending, f.cfg.BatchSize) {
			late, err := f.try(ctx, ids)
			if err != nil && (!late || f.late >= f.batches) { // else the others are written all the same
				return err
			}
		}
		if len(f.pending) == 0 {
			break
		}
	}
	return f.left
}

// try writes a batch within its time, and reports whether it was late.
func (f *flush) try(ctx context.Context, ids []uuid.UUID) (late bool, err error) {
	limited, cancel := withTimeout(ctx, f.clock, f.limit, &TimeoutError{Doing: "write activity", Limit: f.limit})
	defer cancel()
	err = f.batch(limited, ids)
	if err == nil {
		for _, id := range ids {
			delete(f.activity.suspects, id)
		}
		return false, nil
	}
	if ctx.Err() == nil && limited.Err() != nil {
		err = fmt.Errorf("%w: %w", lifecycle.ErrUnavailable, context.Cause(limited))
	}
	if late = ctx.Err() == nil && isLate(err); late {
		f.suspect(ids, err)
	}
	return late, err
}

// suspect notes a batch that was late. What was alone in it is left to a later flush.
func (f *flush) suspect(ids []uuid.UUID, err error) {
	f.late++
	f.activity.suspects.failed(ids, f.clock.Now("executor", "activity"))
	if len(ids) == 1 {
		f.held[ids[0]], f.left = f.pending[ids[0]], err
		delete(f.pending, ids[0])
	}
}

func (f *flush) batch(ctx context.Context, ids []uuid.UUID) error {
	found, err := f.store.Load(ctx, ids...)
	if err != nil {
		return err
	}
	now := micros.Of(f.clock.Now("executor", "activity"))
	var changes []lifecycle.Change
	retry := map[uuid.UUID]time.Time{}
	for i := range found {
		if change, ok := f.change(&found[i], now); ok {
			changes = append(changes, change)
			retry[change.Workspace.ID] = f.pending[change.Workspace.ID]
		}
	}
	verdicts, err := f.writeBy(ctx, &writer{store: f.store, now: now}, changes) // what takes too long is halved by the next flushes
	if err != nil {
		return err
	}
	for i, v := range verdicts {
		id := changes[i].Workspace.ID
		if f.settled(ctx, id, v) {
			delete(retry, id)
		} else {
			f.lost[id] = changes[i].Revision
		}
	}
	f.activity.done(ids, now)
	for _, id := range ids {
		delete(f.pending, id)
	}
	maps.Copy(f.pending, retry)
	return nil
}

// change is what a workspace's activity changes, if anything may be tried.
func (f *flush) change(s *lifecycle.Snapshot, now time.Time) (lifecycle.Change, bool) {
	id := s.Workspace.ID
	at := f.pending[id]
	if f.lost.held(s) {
		f.held[id] = at
		return lifecycle.Change{}, false
	}
	f.activity.learn(&s.Build, id, now)
	change, err := lifecycle.Used(at)(*s, now)
	if err != nil {
		return lifecycle.Change{}, false
	}
	f.activity.learn(&change.Build, id, now)
	change.Events = f.wanted().Filter(change.Events)
	return change, true
}

// settled reports whether nothing is left to do for a workspace.
func (f *flush) settled(ctx context.Context, id uuid.UUID, v verdict) bool {
	if v.err != nil {
		f.dropped.Inc()
		f.logger.WarnContext(ctx, "executor: activity dropped", "workspace_id", id, "error", v.err)
	}
	return v.err != nil || v.applied()
}
