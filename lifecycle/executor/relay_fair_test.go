package executor_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// waiting has n workspaces, from the first on, of each of which an entry of the audit log waits, and a client that writes more.
func (f *fleet) waiting(first, n int) (write func(n int)) {
	f.Helper()
	c, err := executor.NewClient(f.store, executor.ClientConfig{Topics: []lifecycle.Topic{lifecycle.TopicAudit}, Logger: quiet})
	f.must(err)
	on := map[int]bool{}
	write = func(n int) {
		f.Helper()
		on[n] = !on[n]
		_, err := c.Update(f.ctx, id(n), lifecycle.SetAutomaticUpdates(on[n]))
		f.must(err)
	}
	for i := range n {
		f.add(numbered(first+i, stopped()))
		write(first + i)
	}
	return write
}

// receiver takes what workspaces from a number on have to tell, and notes when; for those before it does as a test says.
type receiver struct {
	from  int
	other func(ctx context.Context) error
	got   chan time.Time
}

func (r *receiver) receive(ctx context.Context, e lifecycle.Event) error {
	for n := r.from; n < r.from+2; n++ {
		if e.WorkspaceID == id(n) {
			r.got <- time.Now()
			return nil
		}
	}
	return r.other(ctx)
}

// Workspaces for which the receiver hangs or fails keep nobody waiting who comes behind them in the same topic: neither what was
// written when they had not been tried yet, nor what is written while they are tried again and again.
func TestRelayBesideManyThatAreNotReceived(t *testing.T) {
	const many = 600
	for name, other := range map[string]func(ctx context.Context) error{
		"hang": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"fail": func(context.Context) error { return errBroken },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(f *fleet, start time.Time) {
				write := f.waiting(1, many+1)
				r := &receiver{from: many + 1, other: other, got: make(chan time.Time, 10)}
				const timeout = 20 * time.Second
				_, stop := f.run(executor.Config{RelayInterval: 5 * time.Second, DeliveryTimeout: timeout, Auditor: r.receive}, nil)
				if late := (<-r.got).Sub(start); late > time.Second {
					t.Errorf("the last of %d that wait was received after %v", many+1, late)
				}
				for range 20 {
					time.Sleep(time.Minute + 700*time.Millisecond)
					began := time.Now()
					write(many + 1)
					// The places are taken for no longer than a timeout, and what was written by somebody else is found by an interval later.
					if late := (<-r.got).Sub(began); late > timeout+5*time.Second {
						t.Errorf("received after %v", late)
					}
				}
				f.must(stop())
			})
		})
	}
}

// While a delivery hangs, what the others received is settled, so that what follows it in their workspaces arrives.
func TestRelayBesideOneThatHangs(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		write := f.waiting(1, 2)
		r := &receiver{from: 2, got: make(chan time.Time, 10), other: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		_, stop := f.run(executor.Config{RelayInterval: time.Second, DeliveryTimeout: time.Hour, Concurrency: 2, Auditor: r.receive}, nil)
		<-r.got
		for range 5 {
			write(2)
			if began := time.Now(); (<-r.got).Sub(began) > 2*time.Second {
				t.Errorf("received %v after the start", time.Since(start))
			}
		}
		synctest.Wait()
		f.must(stop())
	})
}

// Those that fail are tried again, however much that was never tried waits, and behind a receiver that hangs for it.
func TestRelayTriesAgainBesideManyNeverTried(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.waiting(1, 400)
		failed := id(7)
		attempts := make(chan int, 100)
		_, stop := f.run(executor.Config{RelayInterval: time.Second, Auditor: func(ctx context.Context, e lifecycle.Event) error {
			if e.WorkspaceID == failed {
				attempts <- e.Attempt
				return errBroken
			}
			<-ctx.Done()
			return ctx.Err()
		}}, nil)
		for want := 1; want <= 4; want++ {
			if got := <-attempts; got != want {
				t.Errorf("attempt %d, want %d: what was not tried does not count", got, want)
			}
		}
		if late := time.Since(start); late > 5*time.Minute {
			t.Errorf("four attempts took %v", late)
		}
		f.must(stop())
	})
}

// What a relay that ends has claimed and not begun is given back: another one delivers it at once, at its first attempt.
func TestRelayThatEndsGivesBack(t *testing.T) {
	bubble(t, func(f *fleet, _ time.Time) {
		f.waiting(1, 30)
		begun := make(chan uuid.UUID, 30)
		_, stop := f.run(executor.Config{Concurrency: 1, Auditor: func(ctx context.Context, e lifecycle.Event) error {
			begun <- e.WorkspaceID
			<-ctx.Done()
			return ctx.Err()
		}}, nil)
		first := <-begun
		f.must(stop())
		in := &inbox{}
		e := f.executor(executor.Config{Auditor: in.receive}, nil)
		f.relay(e, 29)
		for _, ev := range in.take() {
			if ev.WorkspaceID == first || ev.Attempt != 1 {
				t.Errorf("received %s at attempt %d", ev.WorkspaceID, ev.Attempt)
			}
		}
	})
}

// What has waited for a timeout behind slow deliveries is given back as it was; a later claim delivers it, at its first attempt.
func TestRelayGivesBackWhatItDoesNotBegin(t *testing.T) {
	bubble(t, func(f *fleet, _ time.Time) {
		f.waiting(1, 5)
		in := &inbox{fail: func(lifecycle.Event) error { time.Sleep(9 * time.Second); return nil }}
		f.relay(f.executor(executor.Config{Concurrency: 1, DeliveryTimeout: 10 * time.Second, Auditor: in.receive}, nil), 5)
		for _, ev := range in.take() {
			if ev.Attempt != 1 {
				t.Errorf("%s was received at attempt %d", ev.WorkspaceID, ev.Attempt)
			}
		}
	})
}
