// Package workqueue is a queue of work for a fixed number of goroutines.
//
// Adding never blocks, and the queue has no bound: it is for callers that know how much they can have queued, such as one
// entry for each of something. Work goes in the order in which it was added.
package workqueue

import (
	"context"
	"sync"
)

// Work is one piece of work. Its context is the one given to [Queue.Run] as late, or to [Queue.Drain].
type Work func(ctx context.Context)

// Queue is work that waits. All methods are safe for concurrent use. See [New].
type Queue struct {
	mu    sync.Mutex
	items []Work
	ready chan struct{} // room for one
}

// New returns an empty queue.
func New() *Queue { return &Queue{ready: make(chan struct{}, 1)} }

// Add queues work. Work may add more.
func (q *Queue) Add(w Work) {
	q.mu.Lock()
	q.items = append(q.items, w)
	q.mu.Unlock()
	q.signal()
}

func (q *Queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// Run does what is queued until ctx ends, one piece after the other; call it once for each goroutine. Work runs under
// late, so that what was begun can be finished when ctx ends. What is still queued then is left.
func (q *Queue) Run(ctx, late context.Context) {
	for ctx.Err() == nil {
		if w := q.take(); w != nil {
			w(late)
			continue
		}
		select {
		case <-ctx.Done():
		case <-q.ready:
		}
	}
}

// Drain does what is queued, and what that adds, in the calling goroutine.
func (q *Queue) Drain(ctx context.Context) {
	for w := q.take(); w != nil; w = q.take() {
		w(ctx)
	}
}

func (q *Queue) take() Work {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return nil
	}
	w := q.items[0]
	q.items[0] = nil
	q.items = q.items[1:]
	if len(q.items) > 0 {
		q.signal() // one signal may have announced several items
	}
	return w
}
