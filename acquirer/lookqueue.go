package acquirer

import (
	"sync"

	"github.com/google/uuid"
)

// maxLooked bounds the organizations of one look.
const maxLooked = 256

// lookQueue holds the organizations that are to be looked at. They are looked at together: while a look waits for its turn, whoever
// comes joins it, so that a thousand organizations cost some queries, not a thousand. The zero value is empty.
type lookQueue struct {
	mu   sync.Mutex
	ids  []uuid.UUID
	asks bool // a look that will take them is queued
	// alone are those of which a look at them alone is queued. It may wait long for its place, and more are asked for meanwhile.
	alone map[uuid.UUID]struct{}
}

// add puts organizations into the queue and reports whether a look has to be queued for them.
func (q *lookQueue) add(ids ...uuid.UUID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ids = append(q.ids, ids...)
	first := !q.asks
	q.asks = true
	return first
}

// take takes organizations out of the queue, and reports whether another look has to be queued for the rest.
func (q *lookQueue) take() (ids []uuid.UUID, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.ids), maxLooked)
	ids, q.ids = distinct(q.ids[:n]), q.ids[n:]
	q.asks = len(q.ids) > 0
	return ids, q.asks
}

// single reports whether a look at an organization alone has to be queued.
func (q *lookQueue) single(id uuid.UUID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, queued := q.alone[id]; queued {
		return false
	}
	if q.alone == nil {
		q.alone = make(map[uuid.UUID]struct{})
	}
	q.alone[id] = struct{}{}
	return true
}

// begun notes that a look at an organization alone is queued no more.
func (q *lookQueue) begun(id uuid.UUID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.alone, id)
}
