package dispatch

import (
	"cmp"
	"container/heap"
)

// idleHeap holds, for one lane, the domains that could claim from it now, the one to choose first on top. With ten
// thousand able domains a posting must not look at each.
//
// Entries are not removed when a domain changes: its version moves on, and they are skipped when they come up.
type idleHeap []idleEntry

type idleEntry struct {
	domain  *Domain
	version uint64
	// What decides, as of when the entry was made: claims failed in a row, lanes that the domain can run, and the number
	// of its first waiter.
	failures, lanes int
	ticket          uint64
}

func (e idleEntry) stale() bool { return e.version != e.domain.version }

// Len, Less, Swap, Push and Pop implement heap.Interface. Domains that fail least go first, then those that can run the
// fewest lanes, which keeps the versatile ones free for what only they can run, then those whose first worker has waited
// longest.
func (h idleHeap) Len() int { return len(h) }

func (h idleHeap) Less(i, k int) bool {
	a, b := h[i], h[k]
	return cmp.Or(cmp.Compare(a.failures, b.failures), cmp.Compare(a.lanes, b.lanes), cmp.Compare(a.ticket, b.ticket)) < 0
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
func (l *lane) best() *Domain {
	for len(l.idle) > 0 {
		if !l.idle[0].stale() {
			return l.idle[0].domain
		}
		heap.Pop(&l.idle)
	}
	return nil
}

// offer adds a domain that could claim now.
func (l *lane) offer(d *Domain) {
	if len(l.idle) > 2*len(l.able)+16 {
		l.dropStale()
	}
	heap.Push(&l.idle, idleEntry{d, d.version, d.failures, len(d.able), d.first().ticket})
}

// dropStale keeps stale entries from piling up below one that stays on top.
func (l *lane) dropStale() {
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

// link makes a domain and a lane that it can run known to each other.
func (l *lane) link(d *Domain) {
	l.able = append(l.able, d)
	d.able = append(d.able, l)
	if d.canClaim() {
		l.offer(d)
	}
}
