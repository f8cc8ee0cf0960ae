package acquirer_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// hand posts a job and hands it out.
func (f *fleet) hand(a *acquirer.Acquirer, change ...func(*queue.Request)) queue.Job {
	f.t.Helper()
	r := f.request(nil)
	for _, c := range change {
		c(&r)
	}
	w := f.join(a, r)
	f.enqueue(a, f.posting(nil))
	return f.mustGet(w, "posted for this worker")
}

// kill ends a process the hard way: from now on the store does not hear from it.
func (f *fleet) kill(stop func()) {
	f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
		return acquirertest.Fault{Down: true}
	})
	stop()
	f.store.Choose(nil)
}

func TestKilledProcess(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, stop := f.startStoppable()
		job := f.hand(a)
		b := f.start(func(c *acquirer.Config) {
			c.Lost = map[string]acquirer.LostPolicy{"": acquirer.RequeueLost(3, 0)}
		})
		w := f.joinPlain(b)
		f.pass(15 * time.Second)
		f.kill(stop)
		begun := time.Now()
		<-w.done
		took := time.Since(begun)
		synctest.Wait() // events are given later
		if got := f.mustGet(w, "after a kill"); got.ID != job.ID || got.Attempt != 2 || got.Fence <= job.Fence {
			t.Fatalf("got %s, attempt %d, fence %d after %d", got.ID, got.Attempt, got.Fence, job.Fence)
		}
		if took > 40*time.Second { // the lease and one heartbeat
			t.Errorf("requeued after %s", took)
		}
		if lost := f.happened(queue.EventProcessLost); len(lost) != 1 || lost[0].Reason != `process "acquirer" was silent for 30s` {
			t.Errorf("events of a lost process: %+v", lost)
		}
		if reaped := f.happened(queue.EventReaped); len(reaped) != 1 || reaped[0].Job.ID != job.ID {
			t.Errorf("reaped events: %+v", reaped)
		}
		if _, err := b.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("the dead worker's result: %v, want ErrLeaseLost", err)
		}
	})
}

// A process that was silent is reported as such, also where the answer to that comes after a heartbeat that lists it no more.
func TestWhyAProcessIsLostBesideAHeartbeat(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		often := func(c *acquirer.Config) {
			c.Heartbeat, c.Lease, c.Timeout = 3*time.Second, 30*time.Second, 10*time.Second
		}
		f.start(often)
		_, stop := f.startStoppable(often)
		f.kill(stop)
		f.store.Once(acquirertest.Reap, acquirertest.Fault{After: func(context.Context) { time.Sleep(5 * time.Second) }}) // in a bubble
		f.pass(time.Minute)
		if lost := f.happened(queue.EventProcessLost); len(lost) != 1 || lost[0].Reason != `process "acquirer" was silent for 30s` {
			t.Errorf("told: %+v", lost)
		}
	})
}

// Whoever is told of a lost job learns what it was about and what has become of it.
func TestReapedEventNamesTheJob(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, stop := f.startStoppable()
		w := f.joinPlain(a)
		posting := f.posting(nil)
		posting.Payload, posting.Trace = []byte("what to build"), "trace"
		f.enqueue(a, posting)
		f.mustGet(w, "posted for this worker")
		f.start(func(c *acquirer.Config) { c.Lost = map[string]acquirer.LostPolicy{"": acquirer.FailLost()} })
		f.pass(15 * time.Second)
		f.kill(stop)
		f.pass(2 * time.Minute)
		reaped := f.happened(queue.EventReaped)
		if len(reaped) != 1 {
			t.Fatalf("%d reaped events, want 1", len(reaped))
		}
		want := f.stored(posting.ID)
		want.SecretHash = queue.SecretHash{}
		if got := reaped[0].Job; want.State != queue.Failed || want.Error == "" || !reflect.DeepEqual(got, want) {
			t.Errorf("told of\n\t%+v\nstored is\n\t%+v", got, want)
		}
	})
}

// Among many replicas that all see a loss, one decides and each event is given once.
func TestLossIsDecidedOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, stop := f.startStoppable()
		job := f.hand(a)
		for range 4 {
			f.start(func(c *acquirer.Config) {
				c.Lost = map[string]acquirer.LostPolicy{"": acquirer.FailLost()}
			})
		}
		f.pass(15 * time.Second)
		f.kill(stop)
		f.pass(2 * time.Minute)
		if reaped := f.happened(queue.EventReaped); len(reaped) != 1 {
			t.Errorf("%d reaped events, want 1", len(reaped))
		}
		if got := f.stored(job.ID); got.State != queue.Failed || !strings.Contains(got.Error, "lost") {
			t.Errorf("the job is %s: %s", got.State, got.Error)
		}
	})
}

func TestLostPolicies(t *testing.T) {
	t.Parallel()
	ask := func(v acquirer.Verdict, err error) acquirer.LostPolicy {
		return func(context.Context, queue.Job) (acquirer.Verdict, error) { return v, err }
	}
	for name, test := range map[string]struct {
		policy acquirer.LostPolicy
		want   queue.State
	}{
		"requeue":              {acquirer.RequeueLost(2, time.Hour), queue.Pending},
		"attempts used up":     {acquirer.RequeueLost(1, 0), queue.Failed},
		"fail":                 {acquirer.FailLost(), queue.Failed},
		"asked: it was done":   {ask(acquirer.Verdict{Outcome: queue.OutcomeSucceeded}, nil), queue.Succeeded},
		"asked: no answer":     {ask(acquirer.Verdict{}, errors.New("busy")), queue.Running},
		"asked: nonsense":      {ask(acquirer.Verdict{Outcome: queue.OutcomeReleased}, nil), queue.Running},
		"asked: it panics":     {func(context.Context, queue.Job) (acquirer.Verdict, error) { panic("no") }, queue.Running},
		"asked: canceled then": {ask(acquirer.Verdict{Outcome: queue.OutcomeCanceled}, nil), queue.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a, stop := f.startStoppable()
				job := f.hand(a)
				f.start(func(c *acquirer.Config) { c.Lost = map[string]acquirer.LostPolicy{"build": test.policy} })
				f.pass(15 * time.Second)
				f.kill(stop)
				f.pass(90 * time.Second)
				if got := f.stored(job.ID); got.State != test.want {
					t.Errorf("the job is %s (%s), want %s", got.State, got.Error, test.want)
				}
			})
		})
	}
}

// A policy that could not answer is asked again until it can.
func TestPolicyIsAskedAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, stop := f.startStoppable()
		job := f.hand(a)
		asked := 0
		f.start(func(c *acquirer.Config) {
			c.Lost = map[string]acquirer.LostPolicy{"": func(context.Context, queue.Job) (acquirer.Verdict, error) {
				if asked++; asked < 3 {
					return acquirer.Verdict{}, errors.New("do not know yet")
				}
				return acquirer.Verdict{Outcome: queue.OutcomeFailed}, nil
			}}
		})
		f.pass(15 * time.Second)
		f.kill(stop)
		f.pass(3 * time.Minute)
		if got := f.stored(job.ID); got.State != queue.Failed || asked != 3 {
			t.Errorf("the job is %s after %d questions", got.State, asked)
		}
	})
}

// A process that cannot reach the store stops its own jobs before anybody else may have them.
func TestFencedBeforeOthersTakeOver(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		lonely := acquirertest.Wrap(f.inner)
		f.store, lonely = lonely, f.store
		a := f.start() // on a connection of its own
		mine := f.store
		f.store = lonely
		b := f.start(func(c *acquirer.Config) {
			c.Lost = map[string]acquirer.LostPolicy{"": acquirer.RequeueLost(9, 0)}
		})
		job := f.hand(a)
		ctx, stop := a.Watch(f.ctx, job.Lease())
		defer stop()
		var stopped time.Time
		context.AfterFunc(ctx, func() { stopped = time.Now() })
		w := f.joinPlain(b)
		f.pass(13 * time.Second)
		mine.Choose(func(acquirertest.Verb) acquirertest.Fault {
			return acquirertest.Fault{Before: func(ctx context.Context) { <-ctx.Done() }} // a black hole
		})
		<-w.done
		taken := time.Now()
		synctest.Wait()
		f.mustGet(w, "after the other was cut off")
		if stopped.IsZero() || !errors.Is(context.Cause(ctx), queue.ErrLeaseLost) {
			t.Fatalf("the job was not stopped: %v", context.Cause(ctx))
		}
		if margin := taken.Sub(stopped); margin < 5*time.Second {
			t.Errorf("stopped only %s before another had it", margin)
		}
		mine.Choose(nil)
		f.pass(time.Minute)
		again := f.joinPlain(a)
		f.enqueue(a, f.posting(nil))
		f.mustGet(again, "after the connection came back, under a new name")
	})
}

// A process that learns that it was declared lost stops its jobs and goes on under a new name.
func TestDeclaredLost(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		job := f.hand(a)
		ctx, stop := a.Watch(f.ctx, job.Lease())
		defer stop()
		if _, err := f.inner.Reap(f.ctx, queue.ReapRequest{Process: job.Process, Heartbeats: 1, Limit: 1}); err != nil {
			t.Fatal(err)
		}
		w := f.joinPlain(a)
		f.enqueue(a, f.posting(nil))
		f.settle()
		if got := f.mustGet(w, "under a new name"); got.Process == job.Process {
			t.Error("the lost process claimed again")
		}
		if !errors.Is(context.Cause(ctx), queue.ErrLeaseLost) {
			t.Errorf("the lost process's job goes on: %v", context.Cause(ctx))
		}
		if _, err := a.AcquireJobs(canceledContext(), f.request(nil), 1); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

func canceledContext() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// A worker elsewhere that falls silent loses its job although this process lives.
func TestSilentWorker(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(func(c *acquirer.Config) {
			c.Lost = map[string]acquirer.LostPolicy{"": acquirer.RequeueLost(9, 0)}
		})
		job := f.hand(a, func(r *queue.Request) { r.Silence = 20 * time.Second })
		w := f.joinPlain(a)
		for range 5 {
			f.pass(15 * time.Second)
			if _, err := a.Renew(f.ctx, queue.Report{Handout: job.Handout()}); err != nil {
				t.Fatal(err)
			}
		}
		if w.over() {
			t.Fatal("a worker that reports was taken for silent")
		}
		f.pass(21 * time.Second)
		if got := f.mustGet(w, "after the silence"); got.ID != job.ID || got.Attempt != 2 {
			t.Errorf("got %s in attempt %d", got.ID, got.Attempt)
		}
		_, err := a.Renew(f.ctx, queue.Report{Handout: job.Handout()})
		if !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("the silent worker's report: %v", err)
		}
	})
}

// A worker elsewhere outlives the process that gave it the job, by reporting to another one.
func TestWorkerMovesToAnotherProcess(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, stop := f.startStoppable()
		b := f.start()
		job := f.hand(a, func(r *queue.Request) { r.Silence = time.Minute })
		f.kill(stop)
		report := queue.Report{
			Handout: job.Handout(), Silence: time.Minute,
			Progress: &queue.Progress{Percent: 50}, Lines: []queue.Line{{Text: "still here\x00"}},
		}
		for range 10 {
			if canceled, err := b.Renew(f.ctx, report); err != nil || canceled {
				t.Fatal(canceled, err)
			}
			f.pass(20 * time.Second)
		}
		if n := b.Stats().Holding; n != 1 {
			t.Errorf("the new process keeps %d leases, want 1", n)
		}
		got, err := b.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded})
		if err != nil || got.Attempt != 1 || f.stored(job.ID).Progress.Percent != 50 {
			t.Errorf("%+v, %v", got, err)
		}
		lines, err := f.inner.Lines(f.ctx, job.ID, 0, 1)
		if err != nil || len(lines) != 1 || lines[0].Text != "still here\uFFFD" || lines[0].At.IsZero() {
			t.Errorf("lines %+v, %v", lines, err)
		}
	})
}

func TestCancelRunningJob(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		job := f.hand(a)
		ctx, stop := a.Watch(f.ctx, job.Lease())
		defer stop()
		if _, err := b.Cancel(f.ctx, "enough", job.ID, job.ID); err != nil {
			t.Fatal(err)
		}
		f.pass(50 * time.Millisecond)
		if !errors.Is(context.Cause(ctx), queue.ErrJobCanceled) {
			t.Fatalf("the job's context: %v", context.Cause(ctx))
		}
		canceled, err := a.Renew(f.ctx, queue.Report{Handout: job.Handout()})
		if err != nil || !canceled {
			t.Errorf("a report is answered %v, %v", canceled, err)
		}
	})
}

// A cancellation whose message was lost arrives with the next heartbeat.
func TestCancelWithoutMessage(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		job := f.hand(a)
		ctx, stop := a.Watch(f.ctx, job.Lease())
		defer stop()
		if _, err := f.inner.Cancel(f.ctx, queue.Cancellation{Now: time.Now(), IDs: []uuid.UUID{job.ID}}); err != nil {
			t.Fatal(err)
		}
		f.pass(11 * time.Second)
		if !errors.Is(context.Cause(ctx), queue.ErrJobCanceled) {
			t.Errorf("after a heartbeat: %v", context.Cause(ctx))
		}
	})
}

// One of which nobody else has heard arrives with the answer to a report.
func TestCancelIsHeardByAReport(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		job := f.hand(a)
		ctx, stop := a.Watch(f.ctx, job.Lease())
		defer stop()
		if _, err := f.inner.Cancel(f.ctx, queue.Cancellation{Now: time.Now(), IDs: []uuid.UUID{job.ID}}); err != nil {
			t.Fatal(err)
		}
		if canceled, err := a.Renew(f.ctx, queue.Report{Handout: job.Handout()}); !canceled || err != nil {
			t.Errorf("canceled %v, %v", canceled, err)
		}
		if !errors.Is(context.Cause(ctx), queue.ErrJobCanceled) {
			t.Errorf("after the report: %v", context.Cause(ctx))
		}
	})
}

// A worker that has been silent, and whose job somebody else has ended meanwhile, has lost it; what a policy says counts for nothing.
func TestSilentWorkerOfAJobThatIsOver(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(policy(acquirer.FailLost()))
		job := f.hand(a, silence(20*time.Second))
		ctx, stop := a.Watch(f.ctx, job.Lease())
		defer stop()
		f.pass(11 * time.Second) // the heartbeats agree
		ended, err := f.inner.End(f.ctx, time.Now(), []queue.End{{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}})
		if err != nil || ended[0].Err != nil {
			t.Fatal(err, ended)
		}
		f.pass(10 * time.Second)
		if !errors.Is(context.Cause(ctx), queue.ErrLeaseLost) || a.Stats().Holding != 0 {
			t.Errorf("after its silence: %v, %d leases are held", context.Cause(ctx), a.Stats().Holding)
		}
		if job := f.stored(job.ID); job.State != queue.Succeeded {
			t.Errorf("the job is %v: %s", job.State, job.Error)
		}
	})
}

// A result survives a store that fails for a while, and an answer that was lost.
func TestEndIsRepeated(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		job := f.hand(a)
		fails := 3
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			if v != acquirertest.End || fails == 0 {
				return acquirertest.Fault{}
			}
			fails--
			return acquirertest.Fault{Down: fails > 0, Lost: fails == 0}
		})
		got, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded, Result: []byte("dear")})
		if err != nil || got.State != queue.Succeeded || string(f.stored(job.ID).Result) != "dear" {
			t.Fatalf("%+v, %v", got, err)
		}
		if n := f.store.Calls(acquirertest.End); n != 4 {
			t.Errorf("%d calls, want 4", n)
		}
	})
}

// Ends of many workers at once share their calls.
func TestEndsShareCalls(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		const n = 100
		for range n {
			f.slip(f.posting(nil))
		}
		jobs, err := a.AcquireJobs(f.ctx, f.request(nil), n)
		if err != nil || len(jobs) != n {
			t.Fatalf("%d jobs, %v", len(jobs), err)
		}
		goOn := make(chan struct{})
		f.store.Once(acquirertest.End, acquirertest.Fault{Before: func(context.Context) { <-goOn }})
		errs := make(chan error, n)
		for _, job := range jobs {
			go func() {
				_, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded})
				errs <- err
			}()
		}
		synctest.Wait()
		close(goOn)
		for range n {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		if calls := f.store.Calls(acquirertest.End); calls > 2 {
			t.Errorf("%d calls for %d ends, want 2", calls, n)
		}
	})
}

// A requeued job with a pause is handed out when the pause is over, not at the next backup.
func TestDelayedJobs(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		job := f.hand(a)
		if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeRequeued, Delay: 7 * time.Second, Error: "try later"}); err != nil {
			t.Fatal(err)
		}
		w := f.joinPlain(b)
		begun := time.Now()
		<-w.done
		if took := time.Since(begun); f.mustGet(w, "after the pause").ID != job.ID || took < 7*time.Second || took > 7100*time.Millisecond {
			t.Errorf("handed out after %s, want 7 s", took)
		}
		p := f.posting(nil)
		p.NotBefore = time.Now().Add(time.Minute)
		w, begun = f.joinPlain(b), time.Now()
		claims := f.store.Calls(acquirertest.Claim)
		f.enqueue(b, p)
		f.pass(20 * time.Second)
		if n := f.store.Calls(acquirertest.Claim) - claims; n != 0 {
			t.Errorf("%d claims for a job that is not ready", n)
		}
		<-w.done
		if took := time.Since(begun); took < time.Minute || took > time.Minute+100*time.Millisecond {
			t.Errorf("handed out after %s, want a minute", took)
		}
	})
}

// A posting of a job that runs already has nobody ask for it.
func TestPostingOfARunningJob(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		w := f.joinPlain(a)
		p := f.posting(nil)
		f.enqueue(a, p)
		f.mustGet(w, "posted for the first time")
		f.joinPlain(a)
		f.settle()
		claims := f.store.Calls(acquirertest.Claim)
		if jobs := f.enqueue(a, p); !jobs[0].Duplicate {
			t.Errorf("%+v is no duplicate", jobs[0])
		}
		if n := f.store.Calls(acquirertest.Claim) - claims; n != 0 {
			t.Errorf("%d claims", n)
		}
	})
}

// A job that turns ready before one that is planned for is looked for in time.
func TestSoonerDelayedJob(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(func(c *acquirer.Config) { c.Backup = 24 * time.Hour })
		w := f.joinPlain(a)
		f.settle()
		for _, after := range []time.Duration{time.Hour, time.Minute} {
			p := f.posting(nil)
			p.NotBefore = time.Now().Add(after)
			f.enqueue(a, p)
		}
		f.pass(time.Minute + 100*time.Millisecond)
		f.mustGet(w, "posted for an earlier time than another")
	})
}

// A graceful stop takes an idle process off the register, so that nobody counts on it.
func TestGracefulLeave(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		_, stop := f.startStoppable()
		b := f.start()
		f.pass(11 * time.Second)
		if n := b.Stats().Processes; n != 2 {
			t.Fatalf("%d processes, want 2", n)
		}
		stop()
		f.pass(11 * time.Second)
		if n := b.Stats().Processes; n != 1 {
			t.Errorf("%d processes after a stop, want 1", n)
		}
		if lost := f.happened(queue.EventProcessLost); len(lost) != 0 {
			t.Errorf("a graceful stop was reported as a loss: %+v", lost)
		}
	})
}

// A process that never was registered has nothing to take off the register, and so does not enter it at its end.
func TestStopWithoutStore(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			return acquirertest.Fault{Down: v == acquirertest.Heartbeat}
		})
		_, stop := f.startStoppable()
		f.pass(time.Minute)
		f.store.Choose(nil)
		beats := f.store.Calls(acquirertest.Heartbeat)
		stop()
		if reaps, beats := f.store.Calls(acquirertest.Reap), f.store.Calls(acquirertest.Heartbeat)-beats; reaps+beats != 0 {
			t.Errorf("%d calls to leave and %d heartbeats", reaps, beats)
		}
	})
}

// The store may be down when the process starts: it registers when it can, and serves then.
func TestStartWithoutStore(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		f.store.Choose(func(acquirertest.Verb) acquirertest.Fault { return acquirertest.Fault{Down: true} })
		f.slip(f.posting(nil))
		a := f.start()
		w := f.joinPlain(a)
		f.pass(time.Minute)
		if a.Stats().Registered {
			t.Fatal("registered with a store that is down")
		}
		f.store.Choose(nil)
		f.pass(15 * time.Second)
		f.mustGet(w, "after the store came up")
	})
}
