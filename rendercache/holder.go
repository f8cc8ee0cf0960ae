package rendercache

import (
	"context"
	"fmt"
	"sync"
)

// Holder collects the handles of one task, so that they are released together however the task ends. Its methods may be
// called from any goroutine. The zero value is not usable; see [Handles.NewHolder].
type Holder[K comparable, V any] struct {
	handles *Handles[K, V]
	mu      sync.Mutex
	held    map[K]*Handle[V]
	closed  bool
}

// NewHolder returns a holder without handles. Close it.
func (h *Handles[K, V]) NewHolder() *Holder[K, V] {
	return &Holder[K, V]{handles: h, held: make(map[K]*Handle[V])}
}

// Acquire is [Handles.Acquire] with the handle kept by the holder: the value may be used until Close. A key that the
// holder has already is neither fetched nor checked again. After Close it returns [ErrClosed].
func (h *Holder[K, V]) Acquire(ctx context.Context, key K, fetch func(context.Context) (V, error)) (value V, err error) {
	if value, ok, err := h.have(key); ok || err != nil {
		return value, err
	}
	handle, err := h.handles.Acquire(ctx, key, fetch)
	if err != nil {
		return value, err
	}
	return h.keep(key, handle)
}

func (h *Holder[K, V]) have(key K) (value V, ok bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return value, false, errHolderClosed()
	}
	if handle, ok := h.held[key]; ok {
		return handle.Value(), true, nil
	}
	return value, false, nil
}

// keep adds a handle, or releases it if the holder is closed or has one for the key.
func (h *Holder[K, V]) keep(key K, handle *Handle[V]) (value V, err error) {
	h.mu.Lock()
	first, held := h.held[key]
	closed := h.closed
	if !closed && !held {
		h.held[key], first = handle, handle
	}
	h.mu.Unlock()
	if closed || held {
		handle.Release()
	}
	if closed {
		return value, errHolderClosed()
	}
	return first.Value(), nil
}

// Close releases everything held and refuses further acquisitions. Closing again does nothing.
func (h *Holder[K, V]) Close() {
	h.mu.Lock()
	held := h.held
	h.held, h.closed = nil, true
	h.mu.Unlock()
	for _, handle := range held {
		handle.Release()
	}
}

func errHolderClosed() error { return fmt.Errorf("rendercache: acquire with holder: %w", ErrClosed) }
