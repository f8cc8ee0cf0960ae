// Package batch joins concurrent calls into one, for callers that have one request or a few and a callee that takes many.
//
// Nothing is held back to fill a batch: the first request goes at once, behind those goroutines that are ready to run just then,
// and whatever comes while a call is under way shares the next one. So a lone caller pays nothing, and under load the size of a batch follows the speed of the callee.
// One call is under way at a time, and requests go in the order in which they came, but for those with a key that the
// batch has already: they wait for the next.
package batch

import (
	"context"
	"runtime"
	"sync"
)

// Batcher joins calls of one function. All methods are safe for concurrent use. See [New].
type Batcher[K comparable, I, O any] struct {
	limit int
	key   func(I) K
	do    func([]I) ([]O, error)
	// most bounds the weight of a batch of more than one; nil weight: nothing does.
	most   int
	weight func(I) int

	mu      sync.Mutex
	waiting []*item[I, O]
	busy    bool
}

// item is one request. Of those that came together the last to be answered tells the caller.
type item[I, O any] struct {
	in  *I
	out *O // among those of its batch
	err error
	of  *caller
}

type caller struct {
	left int // requests not answered; only drain touches it
	done chan struct{}
}

// New returns a batcher that calls do with 1 to limit requests, no two of which have the same key.
// do answers in the order of the requests; its error is the answer to all of them. It runs in a goroutine that ends when
// nobody waits any more, and must not panic.
func New[K comparable, I, O any](limit int, key func(I) K, do func([]I) ([]O, error)) *Batcher[K, I, O] {
	return &Batcher[K, I, O]{limit: limit, key: key, do: do}
}

// Weigh bounds the weight of each batch, such as its bytes; a request that weighs more goes alone. It must be called before
// the first request.
func (b *Batcher[K, I, O]) Weigh(most int, weight func(I) int) { b.most, b.weight = most, weight }

// Do waits for the answer to a request, or for ctx. A request is not withdrawn when ctx ends: whether it takes effect is
// unknown then.
func (b *Batcher[K, I, O]) Do(ctx context.Context, in I) (O, error) {
	one := struct {
		item[I, O]
		caller
		request I
	}{caller: caller{1, make(chan struct{})}, request: in}
	one.in, one.of = &one.request, &one.caller
	b.mu.Lock()
	b.waiting = append(b.waiting, &one.item)
	b.wake()
	b.mu.Unlock()
	select {
	case <-one.done:
		if one.err != nil {
			var none O
			return none, one.err
		}
		return *one.out, nil
	case <-ctx.Done():
		var none O
		return none, ctx.Err()
	}
}

// DoAll is [Batcher.Do] for several requests, which share calls with each other and with those of others. It passes each answer on, in the
// order of the requests; out is nil where there is an error. The requests must not change after. When ctx ends before all are answered, that is the error of each.
func (b *Batcher[K, I, O]) DoAll(ctx context.Context, in []I, answer func(i int, out *O, err error)) {
	if len(in) == 0 {
		return
	}
	items, of := make([]item[I, O], len(in)), caller{len(in), make(chan struct{})}
	b.mu.Lock()
	for i := range items {
		items[i] = item[I, O]{in: &in[i], of: &of}
		b.waiting = append(b.waiting, &items[i])
	}
	b.wake()
	b.mu.Unlock()
	select {
	case <-of.done:
		for i := range items {
			answer(i, items[i].out, items[i].err)
		}
	case <-ctx.Done():
		for i := range items {
			answer(i, nil, ctx.Err())
		}
	}
}

// wake sees to it that somebody drains. The caller holds the lock.
func (b *Batcher[K, I, O]) wake() {
	if !b.busy {
		b.busy = true
		go b.drain()
	}
}

// drain ends when nobody waits any more. It lets others run first: what they are about to ask in this instant shares the call.
func (b *Batcher[K, I, O]) drain() {
	for {
		runtime.Gosched()
		items := b.take()
		if items == nil {
			return
		}
		in := make([]I, len(items))
		for i, it := range items {
			in[i] = *it.in
		}
		out, err := b.do(in)
		for i, it := range items {
			if it.err = err; err == nil {
				it.out = &out[i]
			}
			if it.of.left--; it.of.left == 0 {
				close(it.of.done)
			}
		}
	}
}

// fits adds a request's weight if there is room for it behind n others.
func (b *Batcher[K, I, O]) fits(n int, weight *int, in I) bool {
	if b.weight == nil {
		return true
	}
	w := b.weight(in)
	if n > 0 && *weight+w > b.most {
		return false
	}
	*weight += w
	return true
}

func (b *Batcher[K, I, O]) take() []*item[I, O] {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		b.busy = false
		return nil
	}
	batch, rest := make([]*item[I, O], 0, min(len(b.waiting), b.limit)), []*item[I, O](nil)
	seen := make(map[K]bool, len(b.waiting))
	weight := 0
	for _, it := range b.waiting {
		key := b.key(*it.in)
		if len(batch) < b.limit && !seen[key] && b.fits(len(batch), &weight, *it.in) {
			batch = append(batch, it)
		} else {
			rest = append(rest, it)
		}
		seen[key] = true // of one key, the first goes first
	}
	b.waiting = rest
	return batch
}
