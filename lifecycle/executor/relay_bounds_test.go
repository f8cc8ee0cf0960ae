package executor_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// outbox is a store whose claims a test looks at, slows down or breaks, and which heeds no context.
type outbox struct {
	*memory.Store
	mu      sync.Mutex
	limits  []int // of the claims
	settles int
	claim   func(n int) error
}

func (o *outbox) ClaimEvents(ctx context.Context, now time.Time, topics []lifecycle.Topic, lease time.Duration, limit int) ([]lifecycle.Event, error) {
	o.mu.Lock()
	o.limits = append(o.limits, limit)
	n := len(o.limits)
	o.mu.Unlock()
	events, err := o.Store.ClaimEvents(context.WithoutCancel(ctx), now, topics, lease, limit)
	if o.claim != nil && err == nil {
		err = o.claim(n)
	}
	return events, err
}

func (o *outbox) SettleEvents(ctx context.Context, now time.Time, deliveries []lifecycle.Delivery) error {
	o.mu.Lock()
	o.settles++
	o.mu.Unlock()
	return o.Store.SettleEvents(ctx, now, deliveries)
}

// A relay claims and settles by the page, not event by event, however many places there are.
func TestRelayWorksByThePage(t *testing.T) {
	bubble(t, func(f *fleet, _ time.Time) {
		f.waiting(1, 500)
		store := &outbox{Store: f.store}
		e := f.executor(executor.Config{Clock: quartz.NewReal(), Concurrency: 2, Auditor: (&inbox{}).receive}, store)
		f.relay(e, 500)
		if len(store.limits) > 5 || store.limits[0] != 256 || store.settles > 5 {
			t.Errorf("500 events: claims of %v, settled %d times", store.limits, store.settles)
		}
	})
}

// What a relay cannot claim is its error, and the log of a Run has it; events wait for no more than the next round.
func TestRelayThatCannotClaim(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.waiting(1, 3)
		store := &outbox{Store: f.store, claim: func(n int) error {
			if n <= 2 {
				return errBroken
			}
			return nil
		}}
		in := &inbox{}
		if n, err := f.executor(executor.Config{Clock: quartz.NewReal(), Auditor: in.receive}, store).Relay(f.ctx); n != 0 || !errors.Is(err, errBroken) {
			t.Errorf("%d delivered, error %v", n, err)
		}
		time.Sleep(time.Minute) // what was claimed by the call that failed is free again
		log := &logs{}
		_, stop := f.run(executor.Config{Auditor: in.receive, Logger: log.logger()}, store)
		if n := log.count("level=WARN", "relay events of topic audit"); n != 1 {
			t.Errorf("%d lines of the log", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := len(in.take()); n != 3 {
			t.Errorf("%d of 3 were received", n)
		}
		f.must(stop())
	})
}

// A relay that ends claims nothing more, whatever the store thinks of its context.
func TestRelayThatEndsClaimsNothing(t *testing.T) {
	bubble(t, func(f *fleet, _ time.Time) {
		f.waiting(1, 5)
		store := &outbox{Store: f.store}
		ctx, cancel := context.WithCancel(f.ctx)
		e := f.executor(executor.Config{Clock: quartz.NewReal(), Concurrency: 1, Auditor: func(context.Context, lifecycle.Event) error {
			cancel()
			return nil
		}}, store)
		n, err := e.Relay(ctx)
		if n != 1 || !errors.Is(err, context.Canceled) || len(store.limits) != 1 {
			t.Errorf("%d delivered, error %v, %d claims", n, err, len(store.limits))
		}
	})
}

// A claim that the store answers late leaves too little of its lease: it is given back, so that no two relays deliver an event at a
// time.
func TestRelayAfterASlowClaim(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.waiting(1, 1)
		slow := &outbox{Store: f.store, claim: func(n int) error {
			if n == 1 {
				time.Sleep(12 * time.Second)
			}
			return nil
		}}
		var at []time.Duration
		cfg := executor.Config{Clock: quartz.NewReal(), DeliveryTimeout: 5 * time.Second, Auditor: func(context.Context, lifecycle.Event) error {
			at = append(at, time.Since(start))
			time.Sleep(4 * time.Second)
			return nil
		}}
		first, second := f.executor(cfg, slow), f.executor(cfg, nil)
		done := make(chan int, 1)
		go func() {
			n, _ := first.Relay(f.ctx)
			done <- n
		}()
		time.Sleep(15*time.Second + 500*time.Millisecond) // the lease of the first claim is over, its delivery is not
		f.relay(second, 0)
		if n := <-done; n != 1 || len(at) != 1 {
			t.Errorf("%d delivered by the first, begun at %v", n, at)
		}
	})
}

// waitsFor is a builder whose builds wait.
func waitsFor(release <-chan struct{}) executor.Builder {
	return executor.BuilderFunc(func(ctx context.Context, _ executor.BuildRequest) (executor.BuildSpec, error) {
		select {
		case <-release:
			return executor.BuildSpec{}, nil
		case <-ctx.Done():
			return executor.BuildSpec{}, ctx.Err()
		}
	})
}

// While builds are slow no more than some pages are read ahead of them, and a tick that is canceled meanwhile ends.
func TestPagesWaitForTheirBuilds(t *testing.T) {
	for _, canceled := range []bool{false, true} {
		bubble(t, func(f *fleet, start time.Time) {
			for n := 1; n <= 200; n++ {
				f.addDue(n, start)
			}
			pages := &counter{}
			release := make(chan struct{})
			e := f.executor(executor.Config{Clock: quartz.NewReal(), PageSize: 5, Concurrency: 3, Builder: waitsFor(release)},
				&hooked{Store: f.store, due: func() error { pages.add("n"); return nil }})
			ctx, cancel := context.WithCancel(f.ctx)
			defer cancel()
			ticked := make(chan executor.Stats, 1)
			go func() { ticked <- e.Tick(ctx, start.Add(time.Minute)) }()
			synctest.Wait()
			if n := pages.get("n"); n < 11 || n > 13 {
				t.Errorf("%d pages of five are read while three builds are slow", n)
			}
			if canceled {
				cancel()
				if s := <-ticked; !errors.Is(s.Err, context.Canceled) || len(s.Transitions)+len(s.Errors)+len(s.Skipped) != 0 {
					t.Errorf("the canceled tick: %+v", s)
				}
				return
			}
			close(release)
			wantStats(t, <-ticked, 200, 0, 0)
		})
	}
}
