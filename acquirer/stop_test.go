package acquirer_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// While Run ends, jobs that are held go on and their ends count, for as long as StopTimeout; no new ones are handed out.
func TestRunKeepsLeasesWhileWorkIsHeld(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, stop := f.startStoppable(func(c *acquirer.Config) { c.StopTimeout = 2 * time.Minute })
		b := f.start()
		job, other := f.hand(a), f.hand(a)
		ctx, unwatch := a.Watch(f.ctx, job.Lease())
		defer unwatch()
		w := f.joinPlain(a)
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		f.pass(time.Second)
		if !errors.Is(w.err, queue.ErrStopped) || !w.over() {
			t.Errorf("a waiting worker: over %v, %v", w.over(), w.err)
		}
		f.pass(time.Minute)
		if ctx.Err() != nil {
			t.Fatalf("the work was interrupted: %v", context.Cause(ctx))
		}
		if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-stopped:
			t.Fatal("Run has returned while a job is held")
		default:
		}
		if _, err := a.End(f.ctx, queue.End{Handout: other.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case <-stopped:
		default:
			t.Error("Run has not returned although nothing is held")
		}
		f.pass(11 * time.Second)
		if n := b.Stats().Processes; n != 1 {
			t.Errorf("%d processes after a stop in good order", n)
		}
	})
}

// What was posted for later turns ready while Run ends, and the workers of other processes get it at once: nobody else knows
// when it is due.
func TestDelayedJobTurnsReadyWhileRunEnds(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		only := func(c *acquirer.Config) {
			c.StopTimeout = 2 * time.Minute
			c.Backup, c.Poll = 1000*time.Hour, 1000*time.Hour
			c.Clock = acquirertest.WakeUpsOnly(quartz.NewReal())
		}
		a, stop := f.startStoppable(only)
		b := f.start(only)
		held := f.hand(a)
		w := f.joinPlain(b)
		delayed := f.posting(nil)
		delayed.NotBefore = time.Now().Add(10 * time.Second)
		job := f.enqueue(a, delayed)[0]
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		f.pass(11 * time.Second)
		if got := f.mustGet(w, "turned ready"); got.ID != job.ID {
			t.Errorf("got %s", got.ID)
		}
		if _, err := a.End(f.ctx, queue.End{Handout: held.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			t.Error(err)
		}
		<-stopped
	})
}
