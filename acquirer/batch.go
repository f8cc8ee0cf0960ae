package acquirer

import (
	"context"
	"sync"
)

// batcher joins calls that come while another is under way into one. Nothing is held back for it: the first
// caller's request goes at once, and whoever comes meanwhile shares the next.
type batcher[I, O any] struct {
	limit int
	key   func(I) any
	do    func([]I) ([]O, error)

	mu      sync.Mutex
	waiting []*batched[I, O]
	busy    bool
}

type batched[I, O any] struct {
	in   I
	out  O
	err  error
	done chan struct{}
}

// newBatcher returns a batcher of at most limit requests at once, of which no two have the same key.
func newBatcher[I, O any](limit int, key func(I) any, do func([]I) ([]O, error)) *batcher[I, O] {
	return &batcher[I, O]{limit: limit, key: key, do: do}
}

// call waits for the answer or for ctx. A request under way is not withdrawn when ctx ends: its outcome is
// unknown then.
func (b *batcher[I, O]) call(ctx context.Context, in I) (O, error) {
	item := &batched[I, O]{in: in, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, item)
	if !b.busy {
		b.busy = true
		go b.drain()
	}
	b.mu.Unlock()
	select {
	case <-item.done:
		return item.out, item.err
	case <-ctx.Done():
		var none O
		return none, ctx.Err()
	}
}

// drain ends when nobody waits any more.
func (b *batcher[I, O]) drain() {
	for {
		items := b.take()
		if items == nil {
			return
		}
		in := make([]I, len(items))
		for i, item := range items {
			in[i] = item.in
		}
		out, err := b.do(in)
		for i, item := range items {
			if item.err = err; err == nil {
				item.out = out[i]
			}
			close(item.done)
		}
	}
}

func (b *batcher[I, O]) take() []*batched[I, O] {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		b.busy = false
		return nil
	}
	var batch, rest []*batched[I, O]
	seen := make(map[any]bool, len(b.waiting))
	for _, item := range b.waiting {
		if key := b.key(item.in); len(batch) < b.limit && !seen[key] {
			seen[key] = true
			batch = append(batch, item)
		} else {
			rest = append(rest, item)
		}
	}
	b.waiting = rest
	return batch
}
