package sqlite

import (
	"context"
	"sync"
)

// watchers are told that the earliest wake may have moved.
type watchers struct {
	mu    sync.Mutex
	calls map[*func()]struct{}
}

// WatchWakes implements [lifecycle.Watcher] for what is written through this Store. Other processes are not heard of.
func (s *Store) WatchWakes(ctx context.Context, wake func()) error {
	s.watchers.add(&wake)
	defer s.watchers.remove(&wake)
	<-ctx.Done()
	return ctx.Err()
}

func (w *watchers) add(call *func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls == nil {
		w.calls = map[*func()]struct{}{}
	}
	w.calls[call] = struct{}{}
}

func (w *watchers) remove(call *func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.calls, call)
}

func (w *watchers) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.calls) > 0
}

func (w *watchers) call() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for call := range w.calls {
		(*call)()
	}
}
