package executor

import (
	"context"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// origin is what a change was made from, to account for its outcome.
type origin struct {
	s *lifecycle.Snapshot
	d lifecycle.Decision
	// postponed: the change only postpones what could not be done.
	postponed bool
}

// entry is a change on its way to the store.
type entry struct {
	change lifecycle.Change
	origin origin
	// urgent: it waits for nothing but a free commit.
	urgent bool
}

// batch is a number of changes that are committed together.
type batch struct {
	changes []lifecycle.Change
	origins []origin
}

// committer commits the changes of a tick in batches, a few at a time. One goroutine collects. A full batch leaves at
// once; an urgent change leaves as soon as a commit is free, together with what else has collected by then. So batches
// are full under load, and a slow builder keeps no finished build waiting.
type committer struct {
	size, inFlight int
	// write commits a batch and returns the changes that follow from its outcome, and whether somebody still has it.
	write func(context.Context, batch) (follow []entry, kept bool)

	in      chan entry
	written chan written
	ended   chan struct{}

	// The fields below belong to the collecting goroutine.

	pending batch
	urgent  bool // something pending is
	running int  // commits in flight
	spare   []batch
}

// written is a batch whose commit has ended.
type written struct {
	batch
	follow []entry
	kept   bool
}

// room is how many changes may wait for the collecting goroutine: enough that it is not woken for each of them.
const room = 64

// newCommitter starts a committer, which may use the memory of spare batches; the caller must finish it.
func newCommitter(ctx context.Context, size, inFlight int, spare []batch, write func(context.Context, batch) ([]entry, bool)) *committer {
	c := &committer{
		size: size, inFlight: inFlight, write: write, in: make(chan entry, min(size, room)), written: make(chan written, inFlight),
		ended: make(chan struct{}), spare: spare,
	}
	go c.collect(ctx)
	return c
}

// add takes a change. It waits while a full batch waits for a commit to end.
func (c *committer) add(e *entry) { c.in <- *e }

// finish waits until all that was added, and all that followed from it, is committed, and returns its spare batches. When ctx
// has ended, what is not in flight is dropped. Nothing may be added afterwards.
func (c *committer) finish() (spare []batch) {
	close(c.in)
	<-c.ended
	return c.spare
}

func (c *committer) collect(ctx context.Context) {
	defer close(c.ended)
	in := c.in
	for {
		in = c.gather(in)
		c.start(ctx, in == nil)
		if in == nil && c.running == 0 {
			return
		}
		source := in
		if len(c.pending.changes) >= c.size {
			source = nil // as many commits as allowed are in flight
		}
		select {
		case e, open := <-source:
			if !open {
				in = nil
				continue
			}
			c.put(&e)
		case w := <-c.written:
			c.running--
			if !w.kept {
				c.reuse(w.batch)
			}
			for i := range w.follow {
				c.put(&w.follow[i])
			}
		}
	}
}

// gather takes what waits, as far as the batch has room, so that an urgent change does not leave alone. It returns nil if
// nothing more will come.
func (c *committer) gather(in chan entry) chan entry {
	for len(c.pending.changes) < c.size {
		select {
		case e, open := <-in:
			if !open {
				return nil
			}
			c.put(&e)
		default:
			return in
		}
	}
	return in
}

// start commits what is ready: full batches, urgent changes, and at the end everything.
func (c *committer) start(ctx context.Context, end bool) {
	for c.running < c.inFlight && c.ready(end) {
		if ctx.Err() != nil {
			c.pending = batch{}
			return
		}
		b := c.take()
		c.running++
		go func() {
			follow, kept := c.write(ctx, b)
			c.written <- written{b, follow, kept}
		}()
	}
}

func (c *committer) ready(end bool) bool {
	n := len(c.pending.changes)
	return n >= c.size || n > 0 && (c.urgent || end)
}

func (c *committer) put(e *entry) {
	if c.pending.changes == nil {
		c.pending = c.empty()
	}
	c.pending.changes = append(c.pending.changes, e.change)
	c.pending.origins = append(c.pending.origins, e.origin)
	c.urgent = c.urgent || e.urgent
}

// take returns the next batch. What follows from commits may have made more than one pending.
func (c *committer) take() batch {
	b := c.pending
	c.pending, c.urgent = batch{}, c.urgent && len(b.changes) > c.size
	if len(b.changes) > c.size {
		c.pending = c.empty()
		c.pending.changes = append(c.pending.changes, b.changes[c.size:]...)
		c.pending.origins = append(c.pending.origins, b.origins[c.size:]...)
		clear(b.changes[c.size:]) // or whoever fills the batch again keeps the pages of this tick in memory
		clear(b.origins[c.size:])
		b = batch{b.changes[:c.size], b.origins[:c.size]}
	}
	return b
}

// empty returns a batch to fill.
func (c *committer) empty() batch {
	if n := len(c.spare); n > 0 {
		b := c.spare[n-1]
		c.spare = c.spare[:n-1]
		return b
	}
	return batch{make([]lifecycle.Change, 0, c.size), make([]origin, 0, c.size)}
}

// reuse keeps the memory of a batch that was written; the store keeps nothing of it.
func (c *committer) reuse(b batch) {
	clear(b.changes)
	clear(b.origins)
	c.spare = append(c.spare, batch{b.changes[:0], b.origins[:0]})
}
