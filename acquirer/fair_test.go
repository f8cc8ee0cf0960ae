package acquirer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

func TestPriorityAndAgeing(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(func(c *acquirer.Config) { c.Age = time.Minute })
		low, high := f.posting(nil), f.posting(nil)
		high.Priority = 5
		f.enqueue(a, low)
		f.enqueue(a, high)
		if got := f.mustGet(f.joinPlain(a), "the higher priority"); got.ID != high.ID {
			t.Error("the lower priority went first")
		}
		f.pass(6 * time.Minute)
		high.ID = uuid.New()
		f.enqueue(a, high)
		if got := f.mustGet(f.joinPlain(a), "the aged job"); got.ID != low.ID {
			t.Error("six minutes did not outweigh five steps of priority")
		}
	})
}

// A tenant at its limit waits; the end of one of its jobs lets the next one start, in whatever process.
func TestLimits(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		limit := func(c *acquirer.Config) { c.Limits.PerTenant = 1 }
		a, b := f.start(limit), f.start(limit)
		tenant := uuid.New()
		var postings []queue.Posting
		for range 3 {
			p := f.posting(nil)
			p.Tenant = tenant
			postings = append(postings, p)
		}
		first, second, third := f.joinPlain(a), f.joinPlain(a), f.joinPlain(b)
		f.enqueue(a, postings...)
		f.settle()
		waits := []*wait{first, second, third}
		for i := range waits {
			if n := count(waits); n != i+1 {
				t.Fatalf("%d jobs of a tenant with a limit of one, want %d in hand so far", n, i+1)
			}
			for _, w := range waits {
				if w.got() && !f.stored(w.job.ID).State.Final() {
					if _, err := b.End(f.ctx, queue.End{Handout: w.job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
						t.Fatal(err)
					}
				}
			}
			f.settle()
		}
	})
}

// Reserved shares: long jobs of low priority do not hold every worker.
func TestShares(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(func(c *acquirer.Config) { c.Reserves = []queue.Reserve{{Priority: -1, Of: 0.75}} })
		var waits []*wait
		for range 8 {
			waits = append(waits, f.joinPlain(a))
		}
		var low []queue.Posting
		for range 20 {
			p := f.posting(nil)
			p.Priority = -1
			low = append(low, p)
		}
		f.enqueue(a, low...)
		f.pass(time.Minute)
		if n := count(waits); n != 6 {
			t.Fatalf("%d of 8 slots run the low priority, want 6", n)
		}
		f.enqueue(a, f.posting(nil), f.posting(nil))
		if n := count(waits); n != 8 {
			t.Errorf("%d of 8 slots are busy after two human jobs, want 8", n)
		}
	})
}

func TestExplain(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		explain := func(id uuid.UUID) acquirer.Explanation {
			t.Helper()
			x, err := a.Explain(f.ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		gpu := f.enqueue(a, f.posting(map[string]string{"gpu": "yes", "zone": "eu"}))[0]
		if x := explain(gpu.ID); len(x.Able) != 0 || x.Nearest != nil || !strings.Contains(x.Text, "no workers") {
			t.Errorf("%+v", x)
		}
		f.join(b, f.request(map[string]string{"zone": "us"}))
		f.pass(21 * time.Second)
		x := explain(gpu.ID)
		if x.Nearest == nil || len(x.Mismatch.Missing) != 1 || len(x.Mismatch.Different) != 1 {
			t.Errorf("%+v: %+v", x.Nearest, x.Mismatch)
		}
		for _, want := range []string{"lacks gpu=yes", `has zone "us"`} {
			if !strings.Contains(x.Text, want) {
				t.Errorf("%q does not say %q", x.Text, want)
			}
		}

		running := f.hand(a)
		first := f.enqueue(a, f.posting(nil))[0]
		high := f.posting(nil)
		high.Priority = 1
		f.enqueue(a, high)
		other := f.posting(nil)
		other.Type = "scan"
		f.enqueue(a, other)
		x = explain(first.ID)
		if x.Ahead != 1 || x.Busy != 1 || x.Waiting != 0 || len(x.Able) != 1 {
			t.Errorf("ahead %d, busy %d, waiting %d, able %d; want 1, 1, 0, 1", x.Ahead, x.Busy, x.Waiting, len(x.Able))
		}
		if x := explain(running.ID); !strings.Contains(x.Text, "running since") {
			t.Errorf("%q", x.Text)
		}
		if _, err := a.End(f.ctx, queue.End{Handout: running.Handout(), Outcome: queue.OutcomeFailed, Error: "no disk"}); err != nil {
			t.Fatal(err)
		}
		if x := explain(running.ID); !strings.Contains(x.Text, "failed at") || !strings.Contains(x.Text, "no disk") {
			t.Errorf("%q", x.Text)
		}
		if _, err := a.Explain(f.ctx, uuid.New()); err == nil {
			t.Error("an unknown job was explained")
		}
	})
}

func TestUnmatched(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		f.joinPlain(a)
		f.pass(time.Minute)
		f.enqueue(b, f.posting(map[string]string{"gpu": "yes"}))
		f.settle()
		events := f.happened(queue.EventUnmatched)
		if len(events) != 1 || !strings.Contains(events[0].Reason, "lacks gpu=yes") || events[0].Jobs != 1 {
			t.Fatalf("after the posting: %+v", events)
		}
		f.pass(5 * time.Minute)
		if n := len(f.happened(queue.EventUnmatched)); n != 1 {
			t.Errorf("the same thing was said %d times", n)
		}
		w := f.join(b, f.request(map[string]string{"gpu": "yes"}))
		f.mustGet(w, "an able worker")
		f.pass(time.Minute)
		if n := len(f.happened(queue.EventMatched)); n != 1 {
			t.Errorf("%d events that a worker has come, want 1", n)
		}
		if _, err := b.End(f.ctx, queue.End{Handout: w.job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			t.Fatal(err)
		}
		f.pass(time.Minute) // long enough for the domain to be forgotten
		f.enqueue(a, f.posting(map[string]string{"gpu": "yes"}))
		f.pass(time.Minute)
		if n := len(f.happened(queue.EventUnmatched)); n != 2 {
			t.Errorf("after the last able worker left: %d events, want 2", n)
		}
	})
}

// Only what nobody can run expires; a long queue does not.
func TestExpire(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(func(c *acquirer.Config) { c.Expire = 10 * time.Minute })
		busy := f.hand(a)
		queued := f.enqueue(a, f.posting(nil))[0]
		orphan := f.enqueue(a, f.posting(map[string]string{"gpu": "yes"}))[0]
		f.pass(8 * time.Minute)
		young := f.enqueue(a, f.posting(map[string]string{"gpu": "yes"}))[0]
		f.pass(6 * time.Minute)
		if got := f.stored(orphan.ID); got.State != queue.Failed || !strings.Contains(got.Error, "the only worker lacks gpu=yes") {
			t.Errorf("what nobody can run is %s: %s", got.State, got.Error)
		}
		for name, id := range map[string]uuid.UUID{"queued": queued.ID, "young": young.ID} {
			if got := f.stored(id); got.State != queue.Pending {
				t.Errorf("the %s job is %s: %s", name, got.State, got.Error)
			}
		}
		if got := f.stored(busy.ID); got.State != queue.Running {
			t.Errorf("the running job is %s", got.State)
		}
		if n := len(f.happened(queue.EventExpired)); n != 1 {
			t.Errorf("%d expired events, want 1", n)
		}
	})
}

func TestRetention(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(func(c *acquirer.Config) { c.Retention = time.Hour })
		job := f.hand(a)
		if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			t.Fatal(err)
		}
		f.pass(59 * time.Minute)
		f.stored(job.ID)
		f.pass(5 * time.Minute)
		jobs, err := f.inner.Jobs(f.ctx, queue.Filter{IDs: []uuid.UUID{job.ID}})
		if err != nil || len(jobs) != 0 {
			t.Errorf("%d jobs kept, %v", len(jobs), err)
		}
	})
}

// Domains that nobody uses any more are forgotten.
func TestIdleDomainsAreForgotten(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		for i := range 50 {
			f.join(a, f.request(map[string]string{"only": fmt.Sprint(i)})).cancel()
		}
		f.pass(time.Minute)
		if s := a.Stats(); s.Domains != 0 || s.Lanes != 0 {
			t.Errorf("%d domains and %d lanes remembered", s.Domains, s.Lanes)
		}
	})
}
