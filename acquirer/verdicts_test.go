package acquirer_test

import (
	"context"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// A job whose caller has left before it came is given back also where that fails at first: no policy is asked, and it counts as no attempt.
func TestJobThatNobodyGotIsGivenBackLater(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(policy(func(context.Context, acquirer.Job) (acquirer.Verdict, error) {
			t.Error("a policy is asked")
			return acquirer.Verdict{Outcome: queue.OutcomeFailed}, nil
		}))
		w := f.joinPlain(a)
		f.settle()
		answer, ends := make(chan struct{}), 0
		f.store.Choose(func(v acquirertest.Verb) (fault acquirertest.Fault) {
			switch v {
			case acquirertest.Claim:
				fault.After = func(context.Context) { <-answer }
			case acquirertest.End:
				ends++
				fault.Down = ends <= 3
			}
			return fault
		})
		job := f.enqueue(a, f.posting(nil))[0]
		w.cancel()
		close(answer)
		f.pass(time.Minute)
		if got := f.stored(job.ID); got.State != queue.Pending || got.Attempt != 0 || ends < 4 {
			t.Errorf("the job is %v in attempt %d, after %d calls", got.State, got.Attempt, ends)
		}
		f.store.Choose(nil)
	})
}

// A claim whose answer is long in coming has jobs in the store that the process does not know of yet. They are not given back.
func TestAnswerOfAClaimThatTakesLong(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(func(c *acquirer.Config) { c.Heartbeat, c.Lease, c.Timeout = time.Second, time.Minute, 30*time.Second })
		w := f.joinPlain(a)
		f.settle()
		f.store.Once(acquirertest.Claim, acquirertest.Fault{After: func(context.Context) { time.Sleep(20 * time.Second) }}) // in a bubble
		f.enqueue(a, f.posting(nil))
		f.pass(21 * time.Second)
		job := f.mustGet(w, "when the answer is there")
		if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			t.Errorf("its end: %v", err)
		}
	})
}

// A claim whose answer was lost, and whose caller has left, has got its job for the next in line.
func TestSettledForTheNextInLine(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		first := f.joinPlain(a)
		f.settle()
		answer := make(chan struct{})
		f.store.Once(acquirertest.Claim, acquirertest.Fault{Lost: true, After: func(context.Context) { <-answer }})
		posted := f.enqueue(a, f.posting(nil))[0]
		second := f.joinPlain(a)
		first.cancel()
		close(answer)
		f.pass(5 * time.Second)
		job := f.mustGet(second, "of a claim for another worker")
		if stored := f.stored(posted.ID); job.ID != posted.ID || job.Worker != stored.Worker || stored.Attempt != 1 {
			t.Errorf("got %s for %s; the store names %s, attempt %d", job.ID, job.Worker, stored.Worker, stored.Attempt)
		}
		if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			t.Errorf("its end: %v", err)
		}
	})
}

// A verdict that could not be stored before the stop does not stand in the way of the worker's own word.
func TestEndAfterAStopDuringAVerdict(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, stop := f.startStoppable(policy(acquirer.FailLost()))
		job := f.hand(a)
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault { return acquirertest.Fault{Down: v == acquirertest.End} })
		if err := a.Lost(f.ctx, "the rack is dark", job.Lease()); err != nil {
			t.Fatal(err)
		}
		f.pass(time.Minute)
		stop()
		f.store.Choose(nil)
		ctx, cancel := context.WithTimeout(f.ctx, time.Minute)
		defer cancel()
		if _, err := a.End(ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			t.Errorf("its end: %v", err)
		}
	})
}
