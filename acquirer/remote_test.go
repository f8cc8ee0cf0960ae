package acquirer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/invalid"
)

var _ worker.Source = acquirer.Remote{}

func (f *fleet) remote(a *acquirer.Acquirer, slots int) acquirer.Remote {
	return a.Remote(acquirer.Identity{Organization: f.org, Worker: uuid.New(), Slots: slots})
}

func (f *fleet) handRemote(a *acquirer.Acquirer, r acquirer.Remote, silence time.Duration) queue.Job {
	f.t.Helper()
	f.enqueue(a, f.posting(nil))
	job, err := r.AcquireJob(f.ctx, queue.Request{Types: []string{"build"}, Silence: silence})
	if err != nil {
		f.t.Fatal(err)
	}
	return job
}

// Whatever silence a remote worker asks for, its job is taken back within the bounds when it is gone, and not before.
func TestSilenceIsTheControlPlanes(t *testing.T) {
	t.Parallel()
	for said, want := range map[time.Duration]time.Duration{
		0: 30 * time.Second, 1: 5 * time.Second, time.Minute: time.Minute, 292 * 365 * 24 * time.Hour: 10 * time.Minute,
	} {
		t.Run(fmt.Sprint(said), func(t *testing.T) {
			bubble(t, func(f *fleet) {
				a := f.start()
				r := f.remote(a, 1)
				job := f.handRemote(a, r, said)
				f.pass(want - time.Second)
				if _, err := r.Renew(f.ctx, queue.Report{Handout: job.Handout(), Silence: said}); err != nil {
					t.Fatalf("within the silence: %v", err)
				}
				f.pass(want - time.Second)
				if n := len(f.happened(queue.EventReaped)); n != 0 {
					t.Errorf("taken back too early")
				}
				f.pass(2 * time.Second)
				if n := len(f.happened(queue.EventReaped)); n != 1 {
					t.Errorf("taken back %d times after the silence, want once", n)
				}
			})
		})
	}
}

// A remote worker waits for and holds no more jobs than it has slots, so that one of a thousand waits gets no more than its share.
func TestSlotsOfARemoteWorker(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		greedy, modest := f.remote(a, 3), f.remote(a, 3)
		got := make(chan queue.Job, 2000)
		refused := 0
		failed := make(chan error, 2000)
		for range 1000 {
			go func() {
				job, err := greedy.AcquireJob(f.ctx, queue.Request{Types: []string{"build"}})
				if err != nil {
					failed <- err
					return
				}
				got <- job
			}()
		}
		synctest.Wait()
		for len(failed) > 0 {
			if err := <-failed; !errors.Is(err, queue.ErrTooMany) {
				t.Fatal(err)
			}
			refused++
		}
		for range 20 {
			f.enqueue(a, f.posting(nil))
		}
		f.settle()
		if len(got) != 3 || refused != 997 {
			t.Errorf("%d jobs, %d refused", len(got), refused)
		}
		if _, err := greedy.AcquireJob(f.ctx, queue.Request{Types: []string{"build"}}); !errors.Is(err, queue.ErrTooMany) {
			t.Errorf("with all slots full: %v", err)
		}
		for range 3 {
			if _, err := modest.AcquireJob(f.ctx, queue.Request{Types: []string{"build"}}); err != nil {
				t.Errorf("the other worker: %v", err)
			}
		}
		if _, err := greedy.End(f.ctx, queue.End{Handout: (<-got).Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			t.Fatal(err)
		}
		if _, err := greedy.AcquireJob(f.ctx, queue.Request{Types: []string{"build"}}); err != nil {
			t.Errorf("with a slot free again: %v", err)
		}
	})
}

// Who a worker is says the control plane, whatever the worker sends.
func TestIdentityOfARemoteWorker(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		secrets := f.posting(map[string]string{"project": "merger"})
		f.enqueue(a, secrets)
		liar := a.Remote(acquirer.Identity{Organization: uuid.New(), Worker: uuid.New()})
		ctx, cancel := context.WithTimeout(f.ctx, time.Minute)
		defer cancel()
		request := f.request(map[string]string{"project": "merger"})
		if job, err := liar.AcquireJob(ctx, request); err == nil {
			t.Errorf("a job of another organization: %+v", job)
		}
		tagged := a.Remote(acquirer.Identity{Organization: f.org, Worker: uuid.New(), Types: []string{"scan"}, Tags: map[string]string{}})
		ctx, cancel = context.WithTimeout(f.ctx, time.Minute)
		defer cancel()
		if job, err := tagged.AcquireJob(ctx, request); err == nil {
			t.Errorf("a job for tags that its registration does not have: %+v", job)
		}
	})
}

// Giving back and putting off have their ends.
func TestReleasesOfARemoteWorker(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		r := f.remote(a, 1)
		job := f.handRemote(a, r, 0)
		for range 14 {
			if _, err := r.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeReleased}); err != nil {
				t.Fatal(err)
			}
			var err error
			if job, err = r.AcquireJob(f.ctx, queue.Request{Types: []string{"build"}}); err != nil {
				t.Fatal(err)
			}
		}
		if job.Attempt < 4 {
			t.Errorf("attempt %d after 14 releases, of which 10 are free", job.Attempt)
		}
		for until, want := range map[time.Duration]time.Duration{-time.Hour: 0, time.Minute: time.Minute} {
			at := time.Now()
			got, err := r.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeRequeued, ReadyAt: at.Add(until)})
			if d := got.ReadyAt.Sub(at); err != nil || d < want-time.Microsecond || d > want {
				t.Errorf("put off by %s for one of %s, %v", d, until, err)
			}
			if job, err = r.AcquireJob(f.ctx, queue.Request{Types: []string{"build"}}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := r.End(f.ctx, queue.End{
			Handout: job.Handout(), Outcome: queue.OutcomeRequeued, ReadyAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
		})
		if latest := time.Now().Add(time.Hour); err != nil || got.ReadyAt.After(latest) {
			t.Errorf("put off until %s, %v", got.ReadyAt, err)
		}
	})
}

// A round that somebody begins by hand has as many releases as the first had, whatever came before it.
func TestReleasesAfterARetry(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		r := f.remote(a, 1)
		job := f.handRemote(a, r, 0)
		next := func(o queue.Outcome) {
			t.Helper()
			if _, err := r.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: o}); err != nil {
				t.Fatal(err)
			}
			if o == queue.OutcomeFailed {
				if changed, err := a.Retry(f.ctx, "ann", "", job.ID); err != nil || len(changed) != 1 {
					t.Fatalf("%+v, %v", changed, err)
				}
			}
			var err error
			if job, err = r.AcquireJob(f.ctx, queue.Request{Types: []string{"build"}}); err != nil {
				t.Fatal(err)
			}
		}
		for round := range 3 {
			for range 10 {
				next(queue.OutcomeReleased)
			}
			if job.Attempt != 1 || job.Round != round {
				t.Fatalf("attempt %d of round %d after 10 releases, which are free", job.Attempt, job.Round)
			}
			next(queue.OutcomeReleased)
			if job.Attempt != 2 {
				t.Fatalf("attempt %d of round %d after 11 releases", job.Attempt, round)
			}
			for range 4 {
				next(queue.OutcomeRequeued)
			}
			next(queue.OutcomeFailed)
		}
	})
}

// A report beyond its bounds is refused whole, and one within them keeps nobody's sign of life waiting.
func TestReportsAreBounded(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		loud, quiet := f.remote(a, 1), f.remote(a, 1)
		job, other := f.handRemote(a, loud, time.Minute), f.handRemote(a, quiet, 6*time.Second)
		many := make([]queue.Line, queue.MaxReportLines+1)
		for name, lines := range map[string][]queue.Line{
			"lines": many, "bytes": {{Text: strings.Repeat("x", queue.MaxReportBytes+1)}},
		} {
			if _, err := loud.Renew(f.ctx, queue.Report{Handout: job.Handout(), Lines: lines}); !errors.Is(err, invalid.Err) {
				t.Errorf("too many %s: %v", name, err)
			}
		}
		slow := make(chan struct{})
		calls := 0
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			if v == acquirertest.Renew {
				if calls++; calls == 2 { // the first is the loud one's sign of life, this its lines
					return acquirertest.Fault{Before: func(ctx context.Context) {
						select {
						case <-slow:
						case <-ctx.Done():
						}
					}}
				}
			}
			return acquirertest.Fault{}
		})
		said := make(chan error, 1)
		go func() {
			_, err := loud.Renew(f.ctx, queue.Report{Handout: job.Handout(), Silence: time.Minute, Lines: many[1:]})
			said <- err
		}()
		synctest.Wait()
		for range 3 {
			f.pass(2 * time.Second)
			if _, err := quiet.Renew(f.ctx, queue.Report{Handout: other.Handout(), Silence: 6 * time.Second}); err != nil {
				t.Errorf("a sign of life beside a slow log: %v", err)
			}
		}
		close(slow)
		if err := <-said; err != nil {
			t.Errorf("the lines: %v", err)
		}
		if n := len(f.happened(queue.EventReaped)); n != 0 {
			t.Errorf("%d jobs taken back", n)
		}
	})
}

// A job that says more than anybody reads is cut down to a pace, and the log says so.
func TestPaceOfALog(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(func(c *acquirer.Config) { c.MaxLog = -1 })
		r := f.remote(a, 1)
		job := f.handRemote(a, r, 0)
		lines := make([]queue.Line, queue.MaxReportLines)
		for i := range lines {
			lines[i].Text = strings.Repeat("x", 1000)
		}
		for range 30 {
			if _, err := r.Renew(f.ctx, queue.Report{Handout: job.Handout(), Lines: lines}); err != nil {
				t.Fatal(err)
			}
		}
		f.pass(10 * time.Second)
		if _, err := r.Renew(f.ctx, queue.Report{Handout: job.Handout(), Lines: []queue.Line{{Text: "end"}}}); err != nil {
			t.Fatal(err)
		}
		stored, err := f.inner.Lines(f.ctx, job.ID, 0, 100_000)
		n := len(stored)
		if err != nil || n < 5000 || n > 10_000 || stored[n-1].Text != "end" || !strings.Contains(stored[n-2].Text, "too fast") {
			t.Errorf("%d lines, the last %+v, %v", n, stored[max(0, n-2):], err)
		}
	})
}

// Wishes that nobody waits for any more are forgotten: heartbeats and memory stay small, however many there were.
func TestInventedDomains(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		types := make([]string, queue.MaxTypes)
		for i := range types {
			types[i] = fmt.Sprint(i, strings.Repeat("t", queue.MaxTypeBytes-4))
		}
		for i := range 2000 {
			ctx, cancel := context.WithCancel(f.ctx)
			go func() { _, _ = a.AcquireJob(ctx, f.request(map[string]string{"x": fmt.Sprint(i)}, types...)) }()
			synctest.Wait()
			cancel()
			synctest.Wait()
		}
		beat := func() int {
			f.pass(10 * time.Second)
			fleet, err := f.inner.Heartbeat(f.ctx, queue.Heartbeat{Process: uuid.New(), Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(fleet.Processes)
			if err != nil {
				t.Fatal(err)
			}
			return len(text)
		}
		if n := beat(); n > 500_000 {
			t.Errorf("a heartbeat of %d bytes", n)
		}
		f.pass(10 * time.Second)
		if n := beat(); n > 1000 {
			t.Errorf("a heartbeat of %d bytes when all have left", n)
		}
	})
}

// Workers of one organization differ in a bounded number of ways.
func TestTooManyDomains(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		failed := make(chan error, 2000)
		for i := range 1500 {
			go func() {
				_, err := a.AcquireJob(f.ctx, f.request(map[string]string{"x": fmt.Sprint(i)}))
				failed <- err
			}()
		}
		synctest.Wait()
		if n := len(failed); n != 1500-1024 {
			t.Errorf("%d refused", n)
		} else if err := <-failed; !errors.Is(err, queue.ErrTooMany) {
			t.Error(err)
		}
		other := f.request(nil)
		other.Organization = uuid.New()
		if w := f.join(a, other); w.over() {
			t.Errorf("another organization: %v", w.err)
		}
	})
}

// Ten thousand lanes that nobody can run are one thing to tell people.
func TestUnmatchedIsToldTogether(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		f.pass(time.Minute)
		for i := range 10_000 {
			if _, err := a.Enqueue(f.ctx, f.posting(map[string]string{"x": fmt.Sprint(i)})); err != nil {
				t.Fatal(err)
			}
		}
		f.pass(time.Minute)
		events, lanes := f.happened(queue.EventUnmatched), 0
		for _, e := range events {
			lanes += e.Lanes
		}
		if len(events) > 10 || lanes != 10_000 {
			t.Errorf("%d events of %d lanes", len(events), lanes)
		}
	})
}

// Whose worker it is a worker does not say by itself: else it would be handed the jobs of any user of its organization.
func TestWhoseWorkerIsRegistered(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		personal := map[string]string{queue.TagScope: queue.ScopeUser, queue.TagOwner: "ceo"}
		f.enqueue(a, f.posting(personal))
		request := queue.Request{Types: []string{"build"}, Tags: personal}
		ctx, cancel := context.WithTimeout(f.ctx, time.Minute)
		defer cancel()
		var e *invalid.Error
		if job, err := f.remote(a, 1).AcquireJob(ctx, request); !errors.As(err, &e) || e.Field != "Request.Tags" {
			t.Errorf("got %+v, %v", job, err)
		}
		registered := acquirer.Identity{Organization: f.org, Worker: uuid.New(), Tags: personal}
		if _, err := a.Remote(registered).AcquireJob(ctx, queue.Request{Types: []string{"build"}}); err != nil {
			t.Errorf("the user's own worker: %v", err)
		}
	})
}
