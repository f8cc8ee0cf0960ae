package rendercache

import "context"

// Noop is a [Memo] that stores nothing, so that callers need no nil checks. The zero value works and costs nothing.
type Noop[K comparable, V any] struct{}

var (
	_ Memo[Key, int] = Noop[Key, int]{}
	_ Memo[Key, int] = (*Cache[Key, int])(nil)
)

// Render calls render on the caller's goroutine and under its context. A value with [ErrNoStore] is returned without an
// error, as by a cache.
func (Noop[K, V]) Render(ctx context.Context, _ K, render func(context.Context) (V, error)) (V, error) {
	return around(ctx, render)
}

// Get finds nothing.
func (Noop[K, V]) Get(K) (value V, ok bool) { return value, false }

// Put drops the value.
func (Noop[K, V]) Put(K, V) {}

// Close does nothing.
func (Noop[K, V]) Close() {}
