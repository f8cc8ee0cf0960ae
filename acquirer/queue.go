package acquirer

import (
	"context"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/internal/backoff"
)

// workQueue is the store calls that wait for one of [Config.Concurrency] hands. It has no bound of its own: there
// is at most one entry for each domain and each organization.
type workQueue struct {
	mu    sync.Mutex
	items []func(ctx context.Context)
	ready chan struct{} // room for one
}

func newWorkQueue() *workQueue { return &workQueue{ready: make(chan struct{}, 1)} }

// add never blocks.
func (q *workQueue) add(item func(ctx context.Context)) {
	q.mu.Lock()
	q.items = append(q.items, item)
	q.mu.Unlock()
	q.signal()
}

func (q *workQueue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// work runs items until ctx ends; they themselves run under late, so that what was begun is finished.
func (q *workQueue) work(ctx, late context.Context) {
	for {
		item := q.take()
		if item == nil {
			select {
			case <-ctx.Done():
				return
			case <-q.ready:
				continue
			}
		}
		if ctx.Err() != nil {
			return
		}
		item(late)
	}
}

func (q *workQueue) take() func(ctx context.Context) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return nil
	}
	item := q.items[0]
	q.items[0] = nil
	q.items = q.items[1:]
	if len(q.items) > 0 {
		q.signal() // one signal may have stood for several items
	}
	return item
}

// breaker holds back claims and listings while the store fails: however many domains there are, they do not
// hammer a database that is down. One success ends it.
type breaker struct {
	clock    quartz.Clock
	failures int
	until    time.Time
}

// wait is how long to hold back.
func (b *breaker) wait() time.Duration {
	if b.failures == 0 {
		return 0
	}
	return b.clock.Until(b.until)
}

func (b *breaker) note(ok bool, first, bound time.Duration) {
	if ok {
		b.failures = 0
		return
	}
	b.failures++
	b.until = b.clock.Now().Add(backoff.Doubled(first, b.failures-1, bound))
}
