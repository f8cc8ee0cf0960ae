package executor_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// slowEvents is a store that takes longer than a call may to settle some events, and whatever is settled with them.
type slowEvents struct {
	*memory.Store
	slow func(seq int64) bool

	mu    sync.Mutex
	calls int
}

func (s *slowEvents) SettleEvents(ctx context.Context, now time.Time, deliveries []lifecycle.Delivery) error {
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	if slices.ContainsFunc(deliveries, func(d lifecycle.Delivery) bool { return s.slow(d.Seq) }) {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Store.SettleEvents(ctx, now, deliveries)
}

// An event that takes too long to be settled is delivered again; those that were to be settled with it are not. Where all of them take too
// long it is the store, and few are tried.
func TestRelayBesideASlowEvent(t *testing.T) {
	for name, c := range map[string]struct {
		slow  func(seq int64) bool
		again int
		fails bool
	}{
		"one": {func(seq int64) bool { return seq == 5 }, 1, false},
		"two": {func(seq int64) bool { return seq%8 == 0 }, 2, false}, // more would take longer than a lease
		"all": {func(int64) bool { return true }, 20, true},
	} {
		for _, limit := range []time.Duration{2 * time.Second, time.Minute} { // the relay itself has no more than ten seconds for it
			t.Run(name+" "+limit.String(), func(t *testing.T) {
				bubble(t, func(f *fleet, _ time.Time) {
					f.waiting(1, 20)
					store := &slowEvents{Store: f.store, slow: c.slow}
					in := &inbox{}
					e := f.executor(executor.Config{Concurrency: 20, StoreTimeout: limit, Auditor: in.receive}, store)
					if n, err := e.Relay(f.ctx); n != 20 || (err != nil) != c.fails {
						t.Errorf("%d delivered, %v", n, err)
					}
					if c.fails && store.calls > 10 {
						t.Errorf("%d calls of a store that is slow", store.calls)
					}
					in.take()
					time.Sleep(10 * time.Minute) // the leases end
					store.slow = func(int64) bool { return false }
					if n, err := e.Relay(f.ctx); n != c.again || err != nil {
						t.Errorf("%d delivered again, %v; want %d", n, err, c.again)
					}
				})
			})
		}
	}
}

// At the end of Run there is no time to settle events one by one.
func TestRunEndsBesideSlowEvents(t *testing.T) {
	bubble(t, func(f *fleet, _ time.Time) {
		f.waiting(1, 20)
		begun := make(chan struct{}, 1)
		store := &slowEvents{Store: f.store, slow: func(seq int64) bool {
			select {
			case begun <- struct{}{}:
			default:
			}
			return seq%2 == 0
		}}
		_, stop := f.run(executor.Config{Concurrency: 20, Auditor: (&inbox{}).receive}, store)
		<-begun
		stopped := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(stopped); took > 20*time.Second {
			t.Errorf("stopped after %v", took)
		}
	})
}
