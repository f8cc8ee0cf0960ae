package acquirer_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

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

// A worker that reports while its job is looked up, because it was silent, has lost nothing.
func TestWorkerComesBackWhileItsJobIsLookedUp(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(policy(func(context.Context, acquirer.Job) (acquirer.Verdict, error) {
			t.Error("a policy is asked")
			return acquirer.Verdict{Outcome: queue.OutcomeFailed}, nil
		}))
		job := f.hand(a, silence(20*time.Second))
		ctx, stop := a.Watch(f.ctx, job.Lease())
		defer stop()
		f.store.Once(acquirertest.Renew, acquirertest.Fault{Lost: true}) // nobody knows whether the job is as it was
		if _, err := a.Renew(f.ctx, queue.Report{Handout: job.Handout()}); !errors.Is(err, acquirertest.ErrLost) {
			t.Fatal(err)
		}
		answer := make(chan struct{})
		f.store.Choose(func(v acquirertest.Verb) (fault acquirertest.Fault) {
			if v == acquirertest.Jobs {
				fault.After = func(context.Context) { <-answer }
			}
			return fault
		})
		before := f.store.Calls(acquirertest.Jobs)
		f.pass(21 * time.Second)
		if n := f.store.Calls(acquirertest.Jobs) - before; n != 1 {
			t.Fatalf("looked up %d times", n)
		}
		if _, err := a.Renew(f.ctx, queue.Report{Handout: job.Handout()}); err != nil {
			t.Fatal(err)
		}
		close(answer)
		f.pass(0)
		if ctx.Err() != nil || a.Stats().Holding != 1 {
			t.Errorf("the worker is told %v; %d leases are held", context.Cause(ctx), a.Stats().Holding)
		}
		f.store.Choose(nil)
		if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			t.Errorf("its end: %v", err)
		}
	})
}

// endless is a store that refuses to write the ends of some jobs.
type endless struct {
	queue.Store

	mu      sync.Mutex
	refused map[uuid.UUID]bool
	calls   int
}

func (e *endless) End(ctx context.Context, now time.Time, ends []queue.End) ([]queue.Ended, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls++
	answers := make([]queue.Ended, len(ends))
	for i, end := range ends {
		if e.refused[end.Lease.Job] {
			answers[i].Err = errors.New("kept by the host")
			continue
		}
		one, err := e.Store.End(ctx, now, []queue.End{end})
		if err != nil {
			return nil, err
		}
		answers[i] = one[0]
	}
	return answers, nil
}

// Verdicts that the database refuses to write keep no other from being written, however many they are. They are written when it lets them,
// and no policy is asked twice.
func TestVerdictsThatAreRefused(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		store := &endless{Store: f.store, refused: make(map[uuid.UUID]bool)}
		var asked atomic.Int64
		var log bytes.Buffer
		cfg := acquirer.Config{Events: f.event, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		policy(func(context.Context, acquirer.Job) (acquirer.Verdict, error) {
			asked.Add(1)
			return acquirer.Verdict{Outcome: queue.OutcomeFailed}, nil
		})(&cfg)
		a, err := acquirer.New(store, f.bus, cfg)
		if err != nil {
			t.Fatal(err)
		}
		f.runUntil(a)
		lose := func(n int, refused bool) (lost []queue.Job) {
			var leases []queue.Lease
			for range n {
				job := f.hand(a)
				lost, leases = append(lost, job), append(leases, job.Lease())
				store.mu.Lock()
				store.refused[job.ID] = refused
				store.mu.Unlock()
			}
			if err := a.Lost(f.ctx, "the rack is dark", leases...); err != nil {
				t.Fatal(err)
			}
			return lost
		}
		judged := func(jobs []queue.Job) (n int) {
			for _, job := range jobs {
				if f.stored(job.ID).State == queue.Failed {
					n++
				}
			}
			return n
		}
		kept := lose(40, true)
		f.pass(time.Minute)
		others := lose(10, false)
		f.pass(0)
		if n := judged(others); n != len(others) || judged(kept) != 0 {
			t.Errorf("%d of %d other verdicts are written at once", n, len(others))
		}
		f.pass(time.Minute)
		store.mu.Lock()
		clear(store.refused)
		store.mu.Unlock()
		f.pass(11 * time.Second)
		if n := judged(kept); n != len(kept) || asked.Load() != 50 {
			t.Errorf("%d of %d verdicts are written when they may be, of 50 policies %d were asked", n, len(kept), asked.Load())
		}
		calls := store.calls
		f.pass(time.Minute)
		if store.calls != calls {
			t.Errorf("%d calls for verdicts that are written", store.calls-calls)
		}
		if !strings.Contains(log.String(), "kept by the host") {
			t.Error("nobody says why verdicts are not written")
		}
	})
}
