package acquirer

import (
	"context"
	"sync"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// maxTold bounds what waits for the host's functions; what comes beyond it is dropped and counted.
const maxTold = 1000

// teller calls the host's functions that are told something, in a goroutine of its own and in order: events, and log lines
// that are written where a lock is held. So neither an event handler nor a log that blocks holds up a heartbeat or the
// fence. It has a lock of its own, which may be taken under Acquirer.mu.
type teller struct {
	mu      sync.Mutex
	waiting []func(context.Context)
	dropped int
	filled  chan struct{} // room for one
}

func newTeller() *teller { return &teller{filled: make(chan struct{}, 1)} }

// tell has f called later, with a context that ends when nobody waits for it any more. It never blocks.
func (t *teller) tell(f func(context.Context)) {
	t.mu.Lock()
	if len(t.waiting) < maxTold {
		t.waiting = append(t.waiting, f)
	} else {
		t.dropped++
	}
	t.mu.Unlock()
	select {
	case t.filled <- struct{}{}:
	default:
	}
}

func (t *teller) take() (all []func(context.Context), dropped int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all, dropped = t.waiting, t.dropped
	t.waiting, t.dropped = nil, 0
	return all, dropped
}

// tellLoop tells until ctx ends, and then what is left.
func (a *Acquirer) tellLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			a.tellAll(ctx)
			return
		case <-a.teller.filled:
			a.tellAll(ctx)
		}
	}
}

func (a *Acquirer) tellAll(ctx context.Context) {
	all, dropped := a.teller.take()
	for _, f := range all {
		f(ctx)
	}
	if dropped > 0 {
		a.cfg.Logger.Warn("events dropped, because Config.Events was too slow", "events", dropped)
	}
}

// emit gives an event to the host, later.
func (a *Acquirer) emit(event queue.Event) {
	a.teller.tell(func(ctx context.Context) {
		a.noteStuck(a.host.Tell(ctx, func() error {
			defer func() {
				if p := recover(); p != nil { // what the host does with an event is no reason to end its process
					a.cfg.Logger.Error("Config.Events panicked", "event", event.Kind, "panic", p)
				}
			}()
			a.cfg.Events(event)
			return nil
		}))
	})
}
