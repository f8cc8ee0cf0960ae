// Package workqueue is a queue of work for a fixed number of goroutines, with a line for each of those whose work it is.
//
// Adding never blocks, and the queue has no bound: it is for callers that know how much they can have queued, such as one
// entry for each of something. Work of one line goes in the order in which it was added. The lines take turns, and of one line
// only so much is under way at once: what takes long there, or hangs, leaves goroutines to the others. [Queue.First] lets one keep its turn.
package workqueue

import (
	"context"
	"slices"
	"sync"
)

// Work is one piece of work. Its context is the one given to [Queue.Run] as late, or to [Queue.Drain].
type Work func(ctx context.Context)

// Queue is work that waits, in lines by K. All methods are safe for concurrent use. See [New].
type Queue[K comparable] struct {
	most  int
	ready chan struct{} // room for one

	mu    sync.Mutex
	lines map[K]*line[K]
	turns []*line[K] // those of which more may begin, in order
}

// line is the work of one; it is kept while there is any, waiting or under way.
type line[K comparable] struct {
	key    K
	items  []Work
	active int
	// inTurn: it is among the turns, once. first: its next turn comes before those of the others.
	inTurn, first bool
}

// New returns an empty queue. Of one line as much as most is under way at once.
func New[K comparable](most int) *Queue[K] {
	return &Queue[K]{most: most, ready: make(chan struct{}, 1), lines: make(map[K]*line[K])}
}

// Add queues work at the end of a line. Work may add more.
func (q *Queue[K]) Add(key K, w Work) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, ok := q.lines[key]
	if !ok {
		l = &line[K]{key: key}
		q.lines[key] = l
	}
	l.items = append(l.items, w)
	q.giveTurn(l)
}

// giveTurn puts a line last among the turns if more of it may begin. mu is locked.
func (q *Queue[K]) giveTurn(l *line[K]) {
	if len(l.items) > 0 && l.active < q.most && !l.inTurn {
		l.inTurn = true
		if l.first {
			q.turns = slices.Insert(q.turns, 0, l)
		} else {
			q.turns = append(q.turns, l)
		}
		l.first = false
	}
	q.signal()
}

// signal wakes a goroutine if anything may begin. mu is locked.
func (q *Queue[K]) signal() {
	if len(q.turns) > 0 {
		select {
		case q.ready <- struct{}{}:
		default:
		}
	}
}

// First gives a line, if it has work that waits, its next turn before the others.
func (q *Queue[K]) First(key K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, ok := q.lines[key]
	if !ok || len(l.items) == 0 {
		return
	}
	l.first = true
	if i := slices.Index(q.turns, l); i >= 0 {
		q.turns = slices.Delete(q.turns, i, i+1)
		l.inTurn = false
	}
	q.giveTurn(l)
}

// Run does what is queued until ctx ends, one piece after the other; call it once for each goroutine. Work runs under
// late, so that what was begun can be finished when ctx ends. What is still queued then is left to the others.
func (q *Queue[K]) Run(ctx, late context.Context) {
	for ctx.Err() == nil {
		if !q.next(late) {
			select {
			case <-ctx.Done():
			case <-q.ready:
			}
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.signal() // the last one may have come to nobody else
}

// Drain does what is queued, and what that adds, in the calling goroutine.
func (q *Queue[K]) Drain(ctx context.Context) {
	for q.next(ctx) {
	}
}

// next does one piece of work, and reports whether any might begin.
func (q *Queue[K]) next(ctx context.Context) bool {
	l, w := q.take()
	if w == nil {
		return false
	}
	defer q.done(l)
	w(ctx)
	return true
}

func (q *Queue[K]) take() (*line[K], Work) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.turns) == 0 {
		return nil, nil
	}
	l := q.turns[0]
	q.turns[0] = nil
	q.turns = q.turns[1:]
	w := l.items[0]
	l.items[0] = nil
	l.items = l.items[1:]
	l.active++
	l.inTurn = false
	q.giveTurn(l) // also tells of the other lines: one signal may have announced several items
	return l, w
}

func (q *Queue[K]) done(l *line[K]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l.active--
	q.giveTurn(l)
	if len(l.items) == 0 && l.active == 0 {
		delete(q.lines, l.key)
	}
}
