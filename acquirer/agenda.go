package acquirer

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/coder/quartz"
)

// agenda is everything that is to happen later, behind one timer: pauses after errors, looks put off, leases
// that run out. Entries run one after the other and must not block.
type agenda struct {
	clock quartz.Clock

	mu      sync.Mutex
	entries agendaHeap
	changed chan struct{} // room for one
}

type agendaEntry struct {
	at time.Time
	do func()
}

func newAgenda(clock quartz.Clock) *agenda {
	return &agenda{clock: clock, changed: make(chan struct{}, 1)}
}

// after has do called in d, if run is running by then.
func (a *agenda) after(d time.Duration, do func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	heap.Push(&a.entries, agendaEntry{a.clock.Now().Add(d), do})
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// run calls what is due until ctx ends.
func (a *agenda) run(ctx context.Context) {
	timer := a.clock.NewTimer(time.Hour, "agenda")
	defer timer.Stop()
	for {
		due, wait := a.due()
		for _, entry := range due {
			entry.do()
		}
		if len(due) > 0 {
			continue
		}
		timer.Reset(wait, "agenda")
		select {
		case <-ctx.Done():
			return
		case <-a.changed:
		case <-timer.C:
		}
	}
}

// due takes out what is due, and says how long the next entry has.
func (a *agenda) due() (due []agendaEntry, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	for len(a.entries) > 0 {
		if wait = a.entries[0].at.Sub(now); wait > 0 {
			return due, wait
		}
		due = append(due, heap.Pop(&a.entries).(agendaEntry))
	}
	return due, time.Hour
}

type agendaHeap []agendaEntry

func (h agendaHeap) Len() int           { return len(h) }
func (h agendaHeap) Less(i, k int) bool { return h[i].at.Before(h[k].at) }
func (h agendaHeap) Swap(i, k int)      { h[i], h[k] = h[k], h[i] }
func (h *agendaHeap) Push(x any)        { *h = append(*h, x.(agendaEntry)) }

func (h *agendaHeap) Pop() any {
	last := len(*h) - 1
	entry := (*h)[last]
	(*h)[last] = agendaEntry{}
	*h = (*h)[:last]
	return entry
}
