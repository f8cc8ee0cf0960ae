// Package wake is for authors of stores: it implements [lifecycle.Watcher] for what is written through one value of a
// store. It knows nothing of other processes; a store that reaches them subscribes on their behalf.
package wake

import (
	"context"
	"sync"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Watchers are functions to call when the earliest wake may have become earlier. The zero value has none. It is safe for
// concurrent use, except that the functions must not call it.
type Watchers struct {
	mu    sync.Mutex
	calls map[*func()]struct{}
}

var _ lifecycle.Watcher = (*Watchers)(nil)

// WatchWakes implements [lifecycle.Watcher]: it subscribes wake until ctx ends and returns ctx.Err().
func (w *Watchers) WatchWakes(ctx context.Context, wake func()) error {
	defer w.Subscribe(wake)()
	<-ctx.Done()
	return ctx.Err()
}

// Subscribe has wake called at every [Watchers.Notify] until cancel is called. It must not block. When cancel has
// returned, wake is not running and is not called again.
func (w *Watchers) Subscribe(wake func()) (cancel func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls == nil {
		w.calls = map[*func()]struct{}{}
	}
	w.calls[&wake] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.calls, &wake)
	}
}

// Watched reports whether anybody has subscribed: who writes need not find out what nobody wants to know.
func (w *Watchers) Watched() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.calls) > 0
}

// Notify calls all that have subscribed. Call it after the write is visible.
func (w *Watchers) Notify() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for wake := range w.calls {
		(*wake)()
	}
}
