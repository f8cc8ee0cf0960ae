package acquirer

import (
	"cmp"
	"container/heap"
)

// idleHeap holds, for one lane, the domains that could claim from it now, the one to choose first on top. With
// ten thousand able domains a posting must not look at each.
//
// Entries are not removed when a domain changes: its version moves on, and they are skipped when they come up.
type idleHeap []idleEntry

type idleEntry struct {
	domain  *domain
	version uint64
	// What decides, as of when the entry was made: claims failed in a row, lanes that the domain can run, and
	// the number of its first waiter.
	failures, lanes int
	since           uint64
}

func (e idleEntry) stale() bool { return e.version != e.domain.version }

// Len, Less, Swap, Push and Pop implement heap.Interface. Domains that fail least go first, then those that can
// run the fewest lanes, which keeps the versatile ones free for what only they can run, then those whose first
// worker has waited longest.
func (h idleHeap) Len() int { return len(h) }

func (h idleHeap) Less(i, k int) bool {
	a, b := h[i], h[k]
	return cmp.Or(cmp.Compare(a.failures, b.failures), cmp.Compare(a.lanes, b.lanes), cmp.Compare(a.since, b.since)) < 0
}

func (h idleHeap) Swap(i, k int) { h[i], h[k] = h[k], h[i] }
func (h *idleHeap) Push(x any)   { *h = append(*h, x.(idleEntry)) }

func (h *idleHeap) Pop() any {
	last := len(*h) - 1
	entry := (*h)[last]
	(*h)[last] = idleEntry{}
	*h = (*h)[:last]
	return entry
}

// best is the domain to choose, or nil.
func (l *laneState) best() *domain {
	for len(l.idle) > 0 {
		if !l.idle[0].stale() {
			return l.idle[0].domain
		}
		heap.Pop(&l.idle)
	}
	return nil
}

// offer enters a domain that could claim now.
func (l *laneState) offer(d *domain) {
	if len(l.idle) > 2*len(l.able)+16 {
		l.sift()
	}
	heap.Push(&l.idle, idleEntry{d, d.version, d.failures, len(d.able), d.first().since})
}

// sift drops the stale entries, so that they do not pile up below one that stays on top.
func (l *laneState) sift() {
	fresh := l.idle[:0]
	for _, entry := range l.idle {
		if !entry.stale() {
			fresh = append(fresh, entry)
		}
	}
	clear(l.idle[len(fresh):])
	l.idle = fresh
	heap.Init(&l.idle)
}

// could reports whether the domain could claim now.
func (d *domain) could() bool { return d.phase == idle && d.line.Len() > 0 }

// changed is to be called whenever the domain's phase or its first waiter has changed.
func (d *domain) changed() {
	d.version++
	if !d.could() {
		return
	}
	for _, lane := range d.able {
		lane.offer(d)
	}
}

// enter makes a domain and a lane known to each other.
func (l *laneState) enter(d *domain) {
	l.able = append(l.able, d)
	d.able = append(d.able, l)
	if d.could() {
		l.offer(d)
	}
}

// turnTo changes the phase.
func (d *domain) turnTo(p phase) {
	d.phase = p
	d.changed()
}

// pushBack puts a waiter at the end of the line, remove takes it out, wherever it stands.
func (d *domain) pushBack(w *waiter) {
	w.place = d.line.PushBack(w)
	if d.line.Len() == 1 {
		d.changed()
	}
}

func (d *domain) remove(w *waiter) {
	first := d.line.Front() == w.place
	d.line.Remove(w.place)
	w.place = nil
	if first {
		d.changed()
	}
}
