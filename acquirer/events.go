package acquirer

import (
	"sync"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// emitter gives events to the host, one at a time. It has a lock of its own, held while the host's function runs: emit must
// not be called under any other lock.
type emitter struct {
	mu      sync.Mutex
	receive func(queue.Event)
}

func (e *emitter) emit(event queue.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.receive(event)
}

// emitLater is emit for a caller that holds the lock.
func (a *Acquirer) emitLater(event queue.Event) {
	a.agenda.After(0, func() { a.events.emit(event) }, "event")
}
