package acquirer_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// What waits for an event handler that hangs is bounded, and the log says how much of it was dropped.
func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		const jobs, most = 1500, 1000
		var told atomic.Int64
		var log bytes.Buffer
		hang := make(chan struct{})
		a := f.start(func(c *acquirer.Config) {
			c.Lost = map[string]acquirer.LostPolicy{"": acquirer.FailLost()}
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			c.Events = func(queue.Event) {
				<-hang
				told.Add(1)
			}
		})
		for range jobs {
			f.slip(f.posting(nil))
		}
		var gone []queue.Lease
		for len(gone) < jobs {
			got, err := a.AcquireJobs(f.ctx, f.request(nil), acquirer.MaxSlots)
			if err != nil {
				t.Fatal(err)
			}
			for _, job := range got {
				gone = append(gone, job.Lease())
			}
		}
		if err := a.Lost(f.ctx, "the rack is dark", gone...); err != nil {
			t.Fatal(err)
		}
		f.pass(time.Second)
		if n := a.Stats().Holding; n != 0 {
			t.Errorf("%d leases wait for an event handler", n)
		}
		close(hang)
		synctest.Wait()
		if n := told.Load(); n < most || n > most+100 {
			t.Errorf("%d of %d events told, want about %d", n, jobs, most)
		}
		if !strings.Contains(log.String(), "events dropped") {
			t.Error("nobody says that events were dropped")
		}
	})
}

// beatingBus is a pubsub that carries heartbeats.
type beatingBus struct {
	*acquirertest.Pubsub
	queue.Heartbeater
}

// A pubsub that can carry heartbeats does, whatever the way to the store is busy with.
func TestHeartbeatsOfThePubsub(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			return acquirertest.Fault{Down: v == acquirertest.Heartbeat}
		})
		a := f.make(beatingBus{f.bus, f.inner})
		ctx, cancel := context.WithCancel(f.ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = a.Run(ctx)
		}()
		f.stoppers = append(f.stoppers, func() {
			cancel()
			<-done
		})
		f.pass(time.Second)
		job := f.hand(a)
		f.pass(10 * time.Minute)
		if s := a.Stats(); !s.Registered || s.Failures != 0 || f.stored(job.ID).Attempt != 1 {
			t.Errorf("%+v, the job is in attempt %d", s, f.stored(job.ID).Attempt)
		}
		if n := f.store.Calls(acquirertest.Heartbeat); n != 0 {
			t.Errorf("%d heartbeats by way of the store", n)
		}
	})
}

// An event handler that panics ends neither the process nor what is told after it.
func TestEventsThatPanic(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		var told atomic.Int64
		var log bytes.Buffer
		a := f.start(func(c *acquirer.Config) {
			c.Lost = map[string]acquirer.LostPolicy{"": acquirer.FailLost()}
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			c.Events = func(e queue.Event) {
				if told.Add(1); e.Kind == queue.EventReaped {
					panic("the mail server is down")
				}
			}
		})
		for range 2 {
			job := f.hand(a)
			if err := a.Lost(f.ctx, "the rack is dark", job.Lease()); err != nil {
				t.Fatal(err)
			}
			f.pass(time.Second)
		}
		if n := told.Load(); n != 2 {
			t.Errorf("%d events told, want 2", n)
		}
		if !strings.Contains(log.String(), "the mail server is down") {
			t.Error("nobody says that the handler panicked")
		}
	})
}

// An event handler that does not return hears no more, and keeps Run, which names it, no longer than its patience.
func TestEventsThatDoNotReturn(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		var told atomic.Int64
		hang := make(chan struct{})
		a := f.make(f.bus, func(c *acquirer.Config) {
			c.Lost = map[string]acquirer.LostPolicy{"": acquirer.FailLost()}
			c.Events = func(queue.Event) { told.Add(1); <-hang }
		})
		stop := f.runUntil(a)
		for range 3 {
			if err := a.Lost(f.ctx, "the rack is dark", f.hand(a).Lease()); err != nil {
				t.Fatal(err)
			}
		}
		f.pass(time.Minute)
		begun := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- stop() }()
		select {
		case err := <-ended:
			if err == nil || !strings.Contains(err.Error(), "Config.Events") || told.Load() != 1 || a.Stats().Stuck != 1 {
				t.Errorf("Run returned %v after %v, %d events told, %d calls stuck", err, time.Since(begun), told.Load(), a.Stats().Stuck)
			}
		case <-time.After(time.Minute):
			t.Error("Run has not returned")
		}
		close(hang)
	})
}

// An event handler that is slow keeps Run from returning for a few seconds, however many events wait.
func TestSlowEventsAtTheEnd(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		var told atomic.Int64
		a := f.make(f.bus, func(c *acquirer.Config) {
			c.Lost = map[string]acquirer.LostPolicy{"": acquirer.FailLost()}
			c.Events = func(queue.Event) { told.Add(1); time.Sleep(2 * time.Second) } // in a bubble
		})
		stop := f.runUntil(a)
		for range 50 {
			if err := a.Lost(f.ctx, "the rack is dark", f.hand(a).Lease()); err != nil {
				t.Fatal(err)
			}
		}
		f.pass(time.Second)
		begun := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 10*time.Second || told.Load() < 2 {
			t.Errorf("Run returned after %v, %d events told", took, told.Load())
		}
	})
}
