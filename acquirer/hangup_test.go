package acquirer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// lingering is a store whose claims take their time.
type lingering struct{ queue.Store }

func (s lingering) Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error) {
	time.Sleep(10 * time.Millisecond) // in a bubble
	return s.Store.Claim(ctx, c)
}

// hangUp lets a worker end its calls before a claim is answered, for ten seconds.
func (f *fleet) hangUp(remote acquirer.Remote) {
	f.t.Helper()
	for begun := time.Now(); time.Since(begun) < 10*time.Second; {
		ctx, cancel := context.WithTimeout(f.ctx, 5*time.Millisecond)
		if _, err := remote.AcquireJob(ctx, queue.Request{}); err == nil {
			f.t.Fatal("a job within the time of half a claim")
		}
		cancel()
		f.pass(15 * time.Millisecond)
	}
}

// A worker that hangs up whenever its job comes does not have the job claimed and given back without end.
func TestWorkerThatHangsUp(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, err := acquirer.New(lingering{f.store}, f.bus, acquirer.Config{StopTimeout: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		life, end := context.WithCancel(f.ctx)
		over := make(chan struct{})
		go func() {
			defer close(over)
			_ = a.Run(life)
		}()
		defer func() { end(); <-over }()
		f.pass(time.Second)
		f.enqueue(a, f.posting(nil))
		worker := uuid.New()
		remote := a.Remote(acquirer.Identity{Organization: f.org, Worker: worker, Types: []string{"build"}})
		before := f.store.Calls(acquirertest.Claim)
		f.hangUp(remote)
		if n := f.store.Calls(acquirertest.Claim) - before; n > 100 {
			t.Errorf("%d claims in 10s for a worker that never takes a job", n)
		}
		w := f.joinPlain(a)
		f.pass(time.Second)
		f.mustGet(w, "beside a worker that hangs up")
		f.enqueue(a, f.posting(nil))
		if _, err := remote.AcquireJob(f.ctx, queue.Request{}); err != nil { // it waits for a while, and is served like anybody
			t.Fatal(err)
		}
		f.enqueue(a, f.posting(nil))
		again := a.Remote(acquirer.Identity{Organization: f.org, Worker: worker, Slots: 2, Types: []string{"build"}})
		begun := time.Now()
		if _, err := again.AcquireJob(f.ctx, queue.Request{}); err != nil || time.Since(begun) > time.Second {
			t.Errorf("after it has taken one: %v after %s", err, time.Since(begun))
		}
	})
}

// Who waits because it hung up hears of the end of the process like anybody who waits.
func TestWhoHungUpHearsOfTheStop(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, err := acquirer.New(lingering{f.store}, f.bus, acquirer.Config{StopTimeout: 100 * time.Millisecond})
		if err != nil {
			f.t.Fatal(err)
		}
		stop := f.runUntil(a)
		f.pass(time.Second)
		f.enqueue(a, f.posting(nil))
		remote := a.Remote(acquirer.Identity{Organization: f.org, Worker: uuid.New(), Types: []string{"build"}})
		f.hangUp(remote)
		heard := make(chan error, 1)
		go func() {
			_, err := remote.AcquireJob(f.ctx, queue.Request{})
			heard <- err
		}()
		f.pass(0)
		begun := time.Now()
		if err := stop(); err != nil {
			f.t.Errorf("Run: %v", err)
		}
		if err := <-heard; !errors.Is(err, queue.ErrStopped) || time.Since(begun) > time.Second {
			f.t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}
