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

// A look that fails says nothing of the lanes: what is known to wait is claimed before the next look is answered.
func TestFailedLookForgetsNoLane(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		w := f.joinPlain(a)
		f.settle()
		looks, answered := 0, make(chan struct{})
		defer close(answered)
		f.store.Choose(func(v acquirertest.Verb) (fault acquirertest.Fault) {
			switch v {
			case acquirertest.Claim:
				fault.Down = looks == 0
			case acquirertest.Ready:
				if looks++; looks == 1 {
					fault.Down = true
				} else {
					fault.Before = func(context.Context) { <-answered }
				}
			}
			return fault
		})
		posted := f.enqueue(a, f.posting(nil))
		f.join(a, f.request(nil, "scan")) // has the organization looked at
		f.pass(5 * time.Second)
		if looks < 2 {
			t.Errorf("%d looks", looks)
		}
		if got := f.mustGet(w, "beside a look"); got.ID != posted[0].ID {
			t.Errorf("got %s", got.ID)
		}
	})
}

// A verdict by hand whose job cannot be read is an error.
func TestJudgeOfAJobThatCannotBeRead(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		job := f.hand(a)
		f.store.Once(acquirertest.Jobs, acquirertest.Fault{Down: true})
		verdict := acquirer.Verdict{Outcome: queue.OutcomeFailed}
		if err := a.Judge(f.ctx, job.Lease(), verdict); !errors.Is(err, acquirertest.ErrDown) {
			t.Errorf("error %v, want the store's", err)
		}
		if got := f.stored(job.ID); got.State != queue.Running {
			t.Errorf("the job is %v", got.State)
		}
	})
}

// Who reports that no worker was lost asks nothing of the store. Where that cannot say which jobs the lost ones had, nothing is done.
func TestLostWorkersThatCannotBeRead(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		job := f.hand(a)
		before := f.store.Calls(acquirertest.Jobs)
		if err := a.Lost(f.ctx, "a machine without workers is gone"); err != nil {
			t.Error(err)
		}
		if n := f.store.Calls(acquirertest.Jobs) - before; n != 0 {
			t.Errorf("the store is asked %d times", n)
		}
		f.store.Once(acquirertest.Jobs, acquirertest.Fault{Down: true})
		if err := a.Lost(f.ctx, "a machine is gone", job.Lease()); !errors.Is(err, acquirertest.ErrDown) {
			t.Errorf("error %v, want the store's", err)
		}
		f.settle()
		if got := f.stored(job.ID); got.State != queue.Running {
			t.Errorf("the job is %v", got.State)
		}
	})
}

// Two jobs that end shortly one after the other, elsewhere, each let one start that a limit stopped.
func TestEndsElsewhereShortlyOneAfterTheOther(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		limit := func(c *acquirer.Config) { c.Limits.PerTenant = 1 }
		a, b := f.start(limit), f.start(limit)
		posting := func(tenant uuid.UUID) queue.Posting {
			p := f.posting(nil)
			p.Tenant = tenant
			return p
		}
		tenants := []uuid.UUID{uuid.New(), uuid.New()}
		var running []queue.Job
		for _, tenant := range tenants {
			w := f.joinPlain(b)
			f.enqueue(b, posting(tenant))
			running = append(running, f.mustGet(w, "the first of a tenant"))
		}
		waits := []*wait{f.joinPlain(a), f.joinPlain(a)}
		f.enqueue(a, posting(tenants[0]), posting(tenants[1]))
		f.settle()
		if n := count(waits); n != 0 {
			t.Fatalf("%d jobs are handed out beyond the limit", n)
		}
		for _, job := range running {
			if _, err := b.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
				t.Fatal(err)
			}
			f.pass(10 * time.Millisecond)
		}
		f.settle()
		if n := count(waits); n != 2 {
			t.Errorf("%d of two jobs are handed out", n)
		}
	})
}

// Whichever process tells of lanes that nobody can run hears at once of one that is posted to in another.
func TestUnmatchedPostedElsewhere(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		both := []*acquirer.Acquirer{f.start(), f.start()}
		for _, a := range both {
			f.joinPlain(a) // so it looks at the organization itself
		}
		f.pass(time.Minute)
		for i, name := range []string{"gpu", "tpu"} {
			f.enqueue(both[i], f.posting(map[string]string{name: "yes"}))
			f.settle()
			if n := len(f.happened(queue.EventUnmatched)); n != i+1 {
				t.Errorf("%d of %d lanes are told", n, i+1)
			}
			f.pass(time.Minute)
		}
	})
}
