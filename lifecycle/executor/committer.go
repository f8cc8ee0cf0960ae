package executor

import (
	"context"
	"sync"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// origin is what a change was made from, to account for its outcome.
type origin struct {
	s *lifecycle.Snapshot
	d lifecycle.Decision
	// postponed: the change only puts off what could not be done.
	postponed bool
}

// batch is a number of changes that are committed together.
type batch struct {
	changes []lifecycle.Change
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
	// spare are batches that were written, to be filled again.
	spare []batch
}

func newCommitter(r *run, fail context.CancelCauseFunc) *committer {
	return &committer{r: r, fail: fail, slot: make(chan struct{}, r.e.cfg.CommitsInFlight)}
}

// add takes a change; a full batch is written. It waits while as many commits as allowed are in flight.
func (c *committer) add(ctx context.Context, change lifecycle.Change, o origin) {
	if c.put(change, o) >= c.r.e.cfg.BatchSize {
		c.flush(ctx)
	}
}

// offer takes a change that has nothing to wait for.
func (c *committer) offer(ctx context.Context, change lifecycle.Change, o origin) {
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

func (c *committer) put(change lifecycle.Change, o origin) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next.changes == nil {
		c.next = c.empty()
	}
	c.next.changes = append(c.next.changes, change)
	c.next.origins = append(c.next.origins, o)
	return len(c.next.changes)
}

// empty returns a batch to fill. The caller holds the lock.
func (c *committer) empty() batch {
	if n := len(c.spare); n > 0 {
		b := c.spare[n-1]
		c.spare = c.spare[:n-1]
		return b
	}
	size := c.r.e.cfg.BatchSize
	return batch{make([]lifecycle.Change, 0, size), make([]origin, 0, size)}
}

// reuse takes back a batch that was written; the store keeps nothing of it.
func (c *committer) reuse(b batch) {
	clear(b.changes)
	clear(b.origins)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spare = append(c.spare, batch{b.changes[:0], b.origins[:0]})
}

// take returns the next batch, which several offers at once may have filled beyond its size.
func (c *committer) take() batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.next
	c.next = batch{}
	if size := c.r.e.cfg.BatchSize; len(b.changes) > size {
		c.next = c.empty()
		c.next.changes = append(c.next.changes, b.changes[size:]...)
		c.next.origins = append(c.next.origins, b.origins[size:]...)
		b = batch{b.changes[:size], b.origins[:size]}
	}
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
	// Taken here, not in the goroutine: whoever goes on collecting meanwhile must not make the batch larger.
	first := c.take()
	c.wg.Go(func() {
		c.writeOne(ctx, first)
		for {
			c.writeAll(ctx)
			<-c.slot
			if ctx.Err() != nil || c.waiting() == 0 {
				return
			}
			// What was offered between the last look and the return of the slot found no free one.
			select {
			case c.slot <- struct{}{}:
			default:
				return
			}
		}
	})
}

func (c *committer) writeAll(ctx context.Context) {
	for c.writeOne(ctx, c.take()) {
	}
}

// writeOne writes a batch, and reports whether there was one.
func (c *committer) writeOne(ctx context.Context, b batch) bool {
	if len(b.changes) == 0 || ctx.Err() != nil {
		return false
	}
	c.write(ctx, b)
	c.reuse(b)
	return true
}

func (c *committer) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.next.changes)
}

// drain writes everything and waits for all commits. A commit may postpone changes, which are written too.
func (c *committer) drain(ctx context.Context) {
	for {
		c.flush(ctx)
		c.wg.Wait()
		if c.waiting() == 0 || ctx.Err() != nil {
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
