package workerpool

import "time"

// deadlines is a binary heap of workers by when they are next to be looked at. A worker whose deadline moves to a later
// time keeps its place until that comes: most deadlines only ever move away. Times count from an origin, so that they
// follow the monotonic clock where there is one.
type deadlines struct {
	origin time.Time
	heap   dueHeap
}

type dueHeap []*record

func (d dueHeap) swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].due, d[j].due = int32(i), int32(j)
}

func (d dueHeap) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if d[parent].dueAt <= d[i].dueAt {
			return
		}
		d.swap(i, parent)
		i = parent
	}
}

func (d dueHeap) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(d) {
			return
		}
		if child+1 < len(d) && d[child+1].dueAt < d[child].dueAt {
			child++
		}
		if d[i].dueAt <= d[child].dueAt {
			return
		}
		d.swap(i, child)
		i = child
	}
}

// set makes a worker due at an instant at the latest; zero: nothing new.
func (d *deadlines) set(r *record, at time.Time) {
	if at.IsZero() {
		return
	}
	t := int64(at.Sub(d.origin))
	switch {
	case r.due < 0:
		r.due, r.dueAt = int32(len(d.heap)), t
		d.heap = append(d.heap, r)
		d.heap.up(int(r.due))
	case t < r.dueAt:
		r.dueAt = t
		d.heap.up(int(r.due))
	}
}

func (d *deadlines) remove(r *record) {
	i := int(r.due)
	if i < 0 {
		return
	}
	last := len(d.heap) - 1
	d.heap.swap(i, last)
	d.heap[last] = nil
	d.heap = d.heap[:last]
	r.due = -1
	if i < last {
		d.heap.down(i)
		d.heap.up(i)
	}
}

// first is when the next worker is due.
func (d *deadlines) first() (time.Time, bool) {
	if len(d.heap) == 0 {
		return time.Time{}, false
	}
	return d.origin.Add(time.Duration(d.heap[0].dueAt)), true
}

// pop returns a worker that is due, or nil.
func (d *deadlines) pop(now time.Time) *record {
	if len(d.heap) == 0 || d.heap[0].dueAt > int64(now.Sub(d.origin)) {
		return nil
	}
	r := d.heap[0]
	d.remove(r)
	return r
}
