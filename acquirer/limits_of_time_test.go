package acquirer_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

// What lies at the end of time is waited for like anything else: no sum of instants wraps round and finds it due.
func TestFarFuture(t *testing.T) {
	bubble(t, func(f *fleet) {
		a := f.start()
		far := f.posting(nil)
		far.NotBefore = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		f.enqueue(a, far)
		w := f.join(a, f.request(nil))
		again := f.enqueue(a, f.posting(nil))[0]
		f.settle()
		job := f.mustGet(w, "the worker")
		if job.ID != again.ID {
			t.Fatalf("the job of the far future was handed out: %+v", job)
		}
		end := queue.End{Handout: job.Handout(), Outcome: queue.OutcomeRequeued, Delay: math.MaxInt64}
		if _, err := a.End(f.ctx, end); err != nil {
			t.Fatalf("end: %v", err)
		}
		err := a.Pause(f.ctx, queue.Pause{Scope: queue.Scope{Type: "other"}, Until: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)})
		if err != nil {
			t.Fatalf("pause: %v", err)
		}
		waiting := f.join(a, f.request(nil))
		before := f.store.Calls(acquirertest.Ready) + f.store.Calls(acquirertest.Claim)
		f.pass(time.Hour)
		if waiting.over() {
			t.Errorf("the worker has job %+v, error %v", waiting.job, waiting.err)
		}
		if n := f.store.Calls(acquirertest.Ready) + f.store.Calls(acquirertest.Claim) - before; n > 400 {
			t.Errorf("%d looks and claims in an hour in which nothing is due", n)
		}
	})
}

// An id that is somebody else's is refused: its job is not handed to whoever posts under it.
func TestIDOfSomebodyElse(t *testing.T) {
	bubble(t, func(f *fleet) {
		a := f.start()
		p := f.posting(nil)
		p.Payload = []byte("mine")
		f.enqueue(a, p)
		for name, change := range map[string]func(*queue.Posting){
			"organization": func(p *queue.Posting) { p.Organization = uuid.New() },
			"tenant":       func(p *queue.Posting) { p.Tenant = uuid.New() },
			"type":         func(p *queue.Posting) { p.Type = "other" },
		} {
			other := p
			change(&other)
			if job, err := a.Enqueue(f.ctx, other); job != nil || !errors.Is(err, invalid.Err) {
				t.Errorf("another %s: job %+v, error %v", name, job, err)
			}
			if job, err := a.EnqueueTx(f.ctx, f.store, other); job != nil || !errors.Is(err, invalid.Err) {
				t.Errorf("another %s in a transaction: job %+v, error %v", name, job, err)
			}
		}
		if jobs, err := a.Enqueue(f.ctx, p); err != nil || len(jobs) != 1 || jobs[0].ID != p.ID {
			t.Errorf("again by whoever posted it: %+v, error %v", jobs, err)
		}
	})
}
