package rendercache

import (
	"context"
	"fmt"
	"sync"
)

// Holder collects the leases of one task, so that they are released together on whatever path the task ends. Its
// methods may be called from any goroutine. The zero value is not usable; see [Leases.NewHolder].
type Holder[K comparable, V any] struct {
	leases *Leases[K, V]
	mu     sync.Mutex
	held   map[K]*Lease[V]
	closed bool
}

// NewHolder returns a holder without leases. Close it.
func (l *Leases[K, V]) NewHolder() *Holder[K, V] {
	return &Holder[K, V]{leases: l, held: make(map[K]*Lease[V])}
}

// Acquire is [Leases.Acquire] with the lease kept by the holder: the value is good until Close. A key that is held
// already costs nothing and is not checked again. After Close it returns [ErrClosed].
func (h *Holder[K, V]) Acquire(ctx context.Context, key K, fetch func(context.Context) (V, error)) (value V, err error) {
	if value, ok, err := h.have(key); ok || err != nil {
		return value, err
	}
	lease, err := h.leases.Acquire(ctx, key, fetch)
	if err != nil {
		return value, err
	}
	return h.keep(key, lease)
}

func (h *Holder[K, V]) have(key K) (value V, ok bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return value, false, errHolderClosed()
	}
	if lease, ok := h.held[key]; ok {
		return lease.Value(), true, nil
	}
	return value, false, nil
}

// keep takes a lease over; one that comes after Close, or second, goes back.
func (h *Holder[K, V]) keep(key K, lease *Lease[V]) (value V, err error) {
	h.mu.Lock()
	first, held := h.held[key]
	closed := h.closed
	if !closed && !held {
		h.held[key], first = lease, lease
	}
	h.mu.Unlock()
	if closed || held {
		lease.Release()
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
	for _, lease := range held {
		lease.Release()
	}
}

func errHolderClosed() error { return fmt.Errorf("rendercache: acquire with holder: %w", ErrClosed) }
