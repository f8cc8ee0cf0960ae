package lifecycle

import (
	"context"
	"sync"
)

// origin is what a change was made from, to account for its outcome.
type origin struct {
	s *Snapshot
	d Decision
	// postponed: the change only puts off what could not be done.
	postponed bool
}

// batch is a number of changes that are committed together.
type batch struct {
	changes []Change
	origins []origin
}

// committer writes the changes of a tick in batches, a few at a time. A full batch leaves at once; what is offered
// eagerly leaves as soon as a commit is free, together with whatever else has collected by then. So batches are full
// under load, and a slow builder keeps no finished build waiting.
type committer struct {
	r    *run
	fail context.CancelCauseFunc
	slot chan struct{} // a token for each commit in flight
	wg   sync.WaitGroup

	mu   sync.Mutex
	next batch
}

func newCommitter(r *run, fail context.CancelCauseFunc) *committer {
	return &committer{r: r, fail: fail, slot: make(chan struct{}, r.e.cfg.CommitsInFlight)}
}

// add takes a change; a full batch is written. It waits while as many commits as allowed are in flight.
func (c *committer) add(ctx context.Context, change Change, o origin) {
	if c.put(change, o) >= c.r.e.cfg.BatchSize {
		c.flush(ctx)
	}
}

// offer takes a change that has nothing to wait for.
func (c *committer) offer(ctx context.Context, change Change, o origin) {
	full := c.put(change, o) >= c.r.e.cfg.BatchSize
	select {
	case c.slot <- struct{}{}:
		c.start(ctx)
	default:
		if full {
			c.flush(ctx)
		}
		// Otherwise the commit that ends next takes it.
	}
}

func (c *committer) put(change Change, o origin) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next.changes == nil {
		c.next = batch{make([]Change, 0, c.r.e.cfg.BatchSize), make([]origin, 0, c.r.e.cfg.BatchSize)}
	}
	c.next.changes = append(c.next.changes, change)
	c.next.origins = append(c.next.origins, o)
	return len(c.next.changes)
}

func (c *committer) take() batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.next
	c.next = batch{}
	return b
}

// flush starts to write what has collected.
func (c *committer) flush(ctx context.Context) {
	select {
	case c.slot <- struct{}{}:
		c.start(ctx)
	case <-ctx.Done():
	}
}

// start writes what has collected, and what collects meanwhile. The caller has taken a slot.
func (c *committer) start(ctx context.Context) {
	c.wg.Go(func() {
		defer func() { <-c.slot }()
		for ctx.Err() == nil {
			b := c.take()
			if len(b.changes) == 0 {
				return
			}
			c.write(ctx, b)
		}
	})
}

// drain writes everything and waits for all commits. A commit may postpone changes, which are written too.
func (c *committer) drain(ctx context.Context) {
	for {
		c.flush(ctx)
		c.wg.Wait()
		c.mu.Lock()
		rest := len(c.next.changes)
		c.mu.Unlock()
		if rest == 0 || ctx.Err() != nil {
			return
		}
	}
}

// write commits one batch and accounts for it.
func (c *committer) write(ctx context.Context, b batch) {
	w := writer{store: c.r.e.store, now: c.r.now}
	verdicts, err := w.write(ctx, b.changes)
	c.r.settle(ctx, b, verdicts)
	if err != nil {
		c.fail(err)
	}
}
