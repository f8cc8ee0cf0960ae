// Package agenda runs short functions later, all of them behind one timer: pauses after errors, postponed work, deadlines.
//
// Functions run one after the other, in the order of their times, in the goroutine of [Agenda.Run], and must not block.
// An entry cannot be withdrawn; a function looks for itself whether it is still wanted. Adding one costs O(log n) of the
// entries and one allocation. What is due when Run ends does not happen.
package agenda

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/coder/quartz"
)

// Agenda is everything that is to happen later. All methods are safe for concurrent use. See [New].
type Agenda struct {
	clock quartz.Clock

	mu      sync.Mutex
	entries entryHeap
	last    uint64        // number of the last entry
	changed chan struct{} // room for one
}

type entry struct {
	at time.Time
	// number keeps entries of one instant in the order in which they were added.
	number uint64
	do     func()
}

// New returns an empty agenda.
func New(clock quartz.Clock) *Agenda {
	return &Agenda{clock: clock, changed: make(chan struct{}, 1)}
}

// After has do called in d, if Run is running by then; it may be called from an entry. The clock is asked for the present
// with the given tags, so that the clock of a test can shift one kind of entry.
func (a *Agenda) After(d time.Duration, do func(), tags ...string) {
	a.mu.Lock()
	a.last++
	heap.Push(&a.entries, entry{a.clock.Now(tags...).Add(d), a.last, do})
	a.mu.Unlock()
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// idle is how long the timer is set while nothing is planned.
const idle = time.Hour

// Run calls what is due until ctx ends.
func (a *Agenda) Run(ctx context.Context) {
	timer := a.clock.NewTimer(idle, "agenda")
	defer timer.Stop()
	for ctx.Err() == nil {
		due, wait := a.due()
		for _, e := range due {
			e.do()
		}
		if len(due) > 0 {
			continue
		}
		timer.Reset(wait, "agenda")
		select {
		case <-ctx.Done():
		case <-a.changed:
		case <-timer.C:
		}
	}
}

// due takes out what is due, and says how long the next entry has.
func (a *Agenda) due() (due []entry, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now("agenda")
	for len(a.entries) > 0 {
		if wait = a.entries[0].at.Sub(now); wait > 0 {
			return due, wait
		}
		due = append(due, heap.Pop(&a.entries).(entry))
	}
	return due, idle
}

// entryHeap implements heap.Interface, the earliest entry on top.
type entryHeap []entry

func (h entryHeap) Len() int { return len(h) }

func (h entryHeap) Less(i, k int) bool {
	if !h[i].at.Equal(h[k].at) {
		return h[i].at.Before(h[k].at)
	}
	return h[i].number < h[k].number
}

func (h entryHeap) Swap(i, k int) { h[i], h[k] = h[k], h[i] }
func (h *entryHeap) Push(x any)   { *h = append(*h, x.(entry)) }

func (h *entryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = entry{}
	*h = (*h)[:last]
	return e
}
