package acquirer_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// lateBeats is a store in which one heartbeat hangs and is stored all the same, whatever its context says by then.
type lateBeats struct {
	queue.Store
	nth     int64 // which one
	beats   atomic.Int64
	release chan struct{}
	// down: the others fail.
	down atomic.Bool
}

func (l *lateBeats) Heartbeat(ctx context.Context, h queue.Heartbeat) (queue.Fleet, error) {
	if l.beats.Add(1) != l.nth {
		if l.down.Load() {
			return queue.Fleet{}, acquirertest.ErrDown
		}
		return l.Store.Heartbeat(ctx, h)
	}
	<-l.release
	return l.Store.Heartbeat(context.WithoutCancel(ctx), h)
}

// registered are the processes that the store counts on, but for the one that asks.
func (f *fleet) registered() (n int) {
	f.t.Helper()
	answer, err := f.inner.Heartbeat(f.ctx, queue.Heartbeat{Process: uuid.New(), Now: time.Now()})
	if err != nil {
		f.t.Fatal(err)
	}
	return len(answer.Processes) - 1
}

// A graceful stop takes the process off the register although the store has counted a heartbeat more than it was told of, or counts
// one after the stop, of a call that was given up. Others would count on it for a lease.
func TestLeaveBesideLateHeartbeats(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		nth  int64
		down bool
		// early: it is stored while the process runs, else after the stop.
		early bool
	}{
		"the answer is late":           {nth: 2, early: true},
		"stored after the stop":        {nth: 2},
		"the first, stored after that": {nth: 1, down: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				store := &lateBeats{Store: f.store, nth: c.nth, release: make(chan struct{})}
				store.down.Store(c.down)
				a, err := acquirer.New(store, f.bus, acquirer.Config{Heartbeat: 10 * time.Second, Lease: time.Hour, Timeout: 2 * time.Second})
				if err != nil {
					t.Fatal(err)
				}
				stop := f.runUntil(a)
				f.pass(18 * time.Second) // it is given up, and another one has begun
				if c.early {
					close(store.release)
					f.pass(0)
				}
				if err := stop(); (err == nil) != c.early {
					t.Errorf("Run returned %v", err)
				}
				if !c.early {
					close(store.release)
				}
				f.pass(0)
				if n := f.registered(); n != 0 {
					t.Errorf("%d processes are registered after the stop", n)
				}
			})
		})
	}
}

// So it does where the answer of the last heartbeat was lost.
func TestLeaveAfterALostAnswer(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		_, stop := f.startStoppable(func(c *acquirer.Config) { c.Heartbeat, c.Lease = 10*time.Second, time.Hour })
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			return acquirertest.Fault{Lost: v == acquirertest.Heartbeat}
		})
		f.pass(11 * time.Second)
		f.store.Choose(nil)
		stop()
		if n := f.registered(); n != 0 {
			t.Errorf("%d processes are registered after the stop", n)
		}
	})
}

// So it does where the heartbeat that asks for the count is itself given up, and is stored.
func TestLeaveWithALateHeartbeatOfItsOwn(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		stop := f.runUntil(f.make(f.bus, func(c *acquirer.Config) { c.Heartbeat, c.Lease = 10*time.Second, time.Hour }))
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			return acquirertest.Fault{Lost: v == acquirertest.Heartbeat}
		})
		f.pass(11 * time.Second)
		release := f.hang(acquirertest.Heartbeat, true)
		if err := stop(); err == nil {
			t.Error("Run does not name the heartbeat that has not returned")
		}
		release()
		f.pass(0)
		if n := f.registered(); n != 0 {
			t.Errorf("%d processes are registered after the stop", n)
		}
	})
}

// A process that cannot find out what its last claim has got tells the others of what it has announced to nobody yet.
func TestLastAnnouncementsBesideAnUnsettledClaim(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, stop := f.startStoppable()
		b := f.start()
		f.joinPlain(a)
		tags := map[string]string{"only": "there"}
		w := f.join(b, f.request(tags))
		f.settle()
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			return acquirertest.Fault{Lost: v == acquirertest.Claim, Down: v == acquirertest.Jobs}
		})
		f.bus.FailPublish(acquirertest.ErrDown)
		f.enqueue(a, f.posting(nil))
		f.enqueue(a, f.posting(tags))
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault { return acquirertest.Fault{Down: v == acquirertest.Jobs} })
		f.bus.FailPublish(nil)
		stop()
		f.pass(100 * time.Millisecond)
		f.store.Choose(nil)
		f.mustGet(w, "a job that was announced when its poster left")
	})
}

// A process that holds jobs keeps its place: others take them over after the lease, and not before.
func TestLateHeartbeatOfAHolder(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		store := &lateBeats{Store: f.store, nth: 2, release: make(chan struct{})}
		a, err := acquirer.New(store, f.bus, acquirer.Config{
			Heartbeat: 10 * time.Second, Lease: time.Hour, Timeout: 2 * time.Second, StopTimeout: 5 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		stop := f.runUntil(a)
		f.hand(a)
		f.pass(18 * time.Second)
		_ = stop()
		close(store.release)
		f.pass(0)
		if n := f.registered(); n != 1 {
			t.Errorf("%d processes are registered, want the one that holds a job", n)
		}
	})
}

// A heartbeat that is stored when its process has given up the name that it speaks for keeps nothing that was held under that name: the
// process itself takes it off the register, once what was held has had a heartbeat's time to stop. After the stop others do, a lease later.
// Either way people are told, once.
func TestLateHeartbeatUnderAFormerName(t *testing.T) {
	t.Parallel()
	const period = 10 * time.Second
	for name, c := range map[string]struct {
		// Since the last heartbeat that was answered. The name is given up after 20 seconds, and what was held is handed out anew
		// after from, and until by. stopped is zero if the process runs on.
		stopped, stored, from, by time.Duration
	}{
		"at once":               {stored: 21 * time.Second, from: 30 * time.Second, by: 33 * time.Second},
		"within the lease":      {stored: 29 * time.Second, from: 30 * time.Second, by: 33 * time.Second},
		"after the lease":       {stored: 30100 * time.Millisecond, from: 30100 * time.Millisecond, by: 33 * time.Second},
		"at once, after a stop": {stopped: 21 * time.Second, stored: 22 * time.Second, from: 50 * time.Second, by: 56 * time.Second},
		"later, after a stop":   {stopped: 24 * time.Second, stored: 31 * time.Second, from: 61 * time.Second, by: 76 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				change := func(cfg *acquirer.Config) {
					cfg.Heartbeat, cfg.Lease, cfg.Timeout, cfg.StopTimeout = period, 3*period, 2*time.Second, time.Millisecond
					cfg.Lost = map[string]acquirer.LostPolicy{"": acquirer.RequeueLost(3, 0)}
				}
				store := &lateBeats{Store: f.store, nth: 2, release: make(chan struct{})}
				cfg := acquirer.Config{Events: f.event}
				change(&cfg)
				a, err := acquirer.New(store, f.bus, cfg)
				if err != nil {
					t.Fatal(err)
				}
				begun, stop := time.Now(), f.runUntil(a)
				until := func(d time.Duration) { f.pass(d - time.Since(begun)) }
				f.hand(a)
				store.down.Store(true)
				until(5 * time.Second)
				w := f.joinPlain(f.start(change))
				until(20500 * time.Millisecond) // it has given its name up, for want of an answer
				store.down.Store(false)
				if c.stopped > 0 {
					until(c.stopped)
					_ = stop()
				}
				until(c.stored - time.Millisecond)
				close(store.release)
				until(c.from - time.Millisecond)
				if w.over() {
					t.Error("handed out anew before a heartbeat's time was over")
				}
				until(c.by)
				if !w.got() {
					t.Error("what was held under the former name is held still")
				}
				why := `process "acquirer" goes on under another name`
				if c.stopped > 0 { // nobody speaks for it any more
					why = `process "acquirer" was silent for 30s`
				}
				if lost := f.happened(queue.EventProcessLost); len(lost) != 1 || lost[0].Reason != why {
					t.Errorf("told: %+v", lost)
				}
			})
		})
	}
}
