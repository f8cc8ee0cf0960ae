package acquirer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// A worker that moves to a process which was not told how long it may be silent is not heard out for ever.
func TestSilentWorkerThatMoved(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		change := func(c *acquirer.Config) {
			c.Lost = map[string]acquirer.LostPolicy{"": acquirer.RequeueLost(9, 0)}
			c.Remote.Silence = 40 * time.Second
		}
		a, b := f.start(change), f.start(change)
		job := f.hand(a, func(r *queue.Request) { r.Silence = 20 * time.Second })
		report := queue.Report{Handout: job.Handout()}
		for range 3 { // as long as it reports it has the job
			if _, err := b.Renew(f.ctx, report); err != nil {
				t.Fatal(err)
			}
			f.pass(30 * time.Second)
		}
		w := f.joinPlain(a)
		f.pass(15 * time.Second)
		if got := f.mustGet(w, "after the silence"); got.ID != job.ID || got.Attempt != 2 {
			t.Errorf("got %s in attempt %d", got.ID, got.Attempt)
		}
	})
}

// A verdict by hand counts also where the worker reports to another process while the verdict is on its way.
func TestJudgeOfWorkerThatMoved(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		job := f.hand(a)
		f.store.Once(acquirertest.End, acquirertest.Fault{Before: func(ctx context.Context) {
			if _, err := b.Renew(ctx, queue.Report{Handout: job.Handout()}); err != nil {
				t.Error(err)
			}
		}})
		if err := a.Judge(f.ctx, job.Lease(), acquirer.Verdict{Outcome: queue.OutcomeFailed, Error: "by hand"}); err != nil {
			t.Fatal(err)
		}
		if got := f.stored(job.ID); got.State != queue.Failed || got.Error != "by hand" {
			t.Errorf("the job is %v: %q", got.State, got.Error)
		}
		if err := a.Judge(f.ctx, job.Lease(), acquirer.Verdict{Outcome: queue.OutcomeRequeued}); !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("another verdict: %v", err)
		}
	})
}
