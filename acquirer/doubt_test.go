package acquirer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/store/memory"
)

// policy makes one policy decide about all types.
func policy(p acquirer.LostPolicy) func(*acquirer.Config) {
	return func(c *acquirer.Config) { c.Lost = map[string]acquirer.LostPolicy{"": p} }
}

func silence(d time.Duration) func(*queue.Request) {
	return func(r *queue.Request) { r.Silence = d }
}

// Whatever delays a verdict, nothing but a verdict takes a lease from a silent worker.
func TestNoJobChangesHandsWithoutVerdict(t *testing.T) {
	t.Parallel()
	fail := acquirer.FailLost()
	for name, test := range map[string]struct {
		policy func(asked *atomic.Int64) acquirer.LostPolicy
		fault  acquirertest.Verb
	}{
		"the policy errs at first": {policy: func(asked *atomic.Int64) acquirer.LostPolicy {
			return func(ctx context.Context, job queue.Job) (acquirer.Verdict, error) {
				if asked.Add(1) < 12 {
					return acquirer.Verdict{}, errors.New("busy")
				}
				return fail(ctx, job)
			}
		}},
		"the policy is slow": {policy: func(asked *atomic.Int64) acquirer.LostPolicy {
			return func(ctx context.Context, job queue.Job) (acquirer.Verdict, error) {
				asked.Add(1)
				time.Sleep(5 * time.Minute) // in a bubble
				return fail(ctx, job)
			}
		}},
		"the verdict is not stored at first": {policy: func(*atomic.Int64) acquirer.LostPolicy { return fail }, fault: acquirertest.End},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				var asked atomic.Int64
				a := f.start(policy(test.policy(&asked)))
				job := f.hand(a, silence(20*time.Second))
				w := f.joinPlain(a)
				failures := 10
				f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
					if v != test.fault || failures == 0 {
						return acquirertest.Fault{}
					}
					failures--
					return acquirertest.Fault{Down: true}
				})
				f.pass(10 * time.Minute)
				if got := f.stored(job.ID); got.State != queue.Failed || got.Attempt != 1 || got.Fence != 1 {
					t.Errorf("the job is %s, attempt %d, fence %d; want failed in its first", got.State, got.Attempt, got.Fence)
				}
				if w.over() {
					t.Error("another worker got the job")
				}
				if n := asked.Load(); name == "the policy is slow" && n != 1 {
					t.Errorf("the policy was asked %d times while it thought, want once", n)
				}
			})
		})
	}
}

// A worker that comes back while the policy is being asked keeps its job: the verdict was about what is not so any more.
func TestWorkerComesBackWhileThePolicyIsAsked(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		requeue := acquirer.RequeueLost(9, 0)
		a := f.start(policy(func(ctx context.Context, job queue.Job) (acquirer.Verdict, error) {
			time.Sleep(20 * time.Second) // in a bubble
			return requeue(ctx, job)
		}))
		job := f.hand(a, silence(30*time.Second))
		w := f.joinPlain(a)
		f.pass(35 * time.Second)
		for range 30 {
			if _, err := a.Renew(f.ctx, queue.Report{Handout: job.Handout()}); err != nil {
				t.Fatalf("the worker came back and heard: %v", err)
			}
			f.pass(5 * time.Second)
		}
		if w.over() {
			t.Fatal("another worker has the job too")
		}
		f.pass(2 * time.Minute)
		f.mustGet(w, "after the worker fell silent for good")
	})
}

// A report that arrives while the verdict is being written waits for the store's answer, and is refused then.
func TestReportWhileTheVerdictIsWritten(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(policy(acquirer.RequeueLost(9, 0)))
		job := f.hand(a, silence(30*time.Second))
		f.store.Once(acquirertest.End, acquirertest.Fault{Before: func(ctx context.Context) {
			select {
			case <-time.After(5 * time.Second): // in a bubble
			case <-ctx.Done():
			}
		}})
		f.pass(32 * time.Second)
		report := queue.Report{Handout: job.Handout()}
		if _, err := a.Renew(f.ctx, report); err == nil || errors.Is(err, queue.ErrLeaseLost) {
			t.Fatalf("while the verdict is written: %v, want a passing error", err)
		}
		f.pass(5 * time.Second)
		if _, err := a.Renew(f.ctx, report); !errors.Is(err, queue.ErrLeaseLost) {
			t.Fatalf("after the verdict: %v", err)
		}
	})
}

// A job whose end nobody could store is not kept for ever by a worker that has gone on to other work.
func TestEndGivenUp(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(policy(acquirer.FailLost()))
		job := f.hand(a)
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			return acquirertest.Fault{Down: v == acquirertest.End}
		})
		ctx, cancel := context.WithTimeout(f.ctx, 5*time.Second)
		defer cancel()
		if _, err := a.End(ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err == nil {
			t.Fatal("an end that nobody stored is reported as one")
		}
		f.store.Choose(nil)
		f.pass(time.Minute)
		if got := f.stored(job.ID); got.State != queue.Failed || a.Stats().Holding != 0 {
			t.Errorf("the job is %s, %d leases are held", got.State, a.Stats().Holding)
		}
	})
}

// A worker that moves to a process which is not registered yet, or not any more, is asked to come again.
func TestReportToAYoungProcess(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		job := f.hand(a, silence(time.Minute))
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			return acquirertest.Fault{Down: v == acquirertest.Heartbeat}
		})
		b := f.start()
		report := queue.Report{Handout: job.Handout(), Silence: time.Minute}
		ctx, cancel := context.WithTimeout(f.ctx, time.Second)
		defer cancel()
		if _, err := b.Renew(ctx, report); err == nil || errors.Is(err, queue.ErrLeaseLost) {
			t.Fatalf("before its first heartbeat: %v, want a passing error", err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := b.Renew(f.ctx, report)
			done <- err
		}()
		f.pass(time.Second)
		f.store.Choose(nil)
		f.pass(15 * time.Second)
		if err := <-done; err != nil {
			t.Fatalf("a report that waited for the first heartbeat: %v", err)
		}
		if n := b.Stats().Holding; n != 1 {
			t.Errorf("the young process keeps %d leases, want 1", n)
		}
	})
}

// A process that was declared lost without knowing it refuses nobody's lease.
func TestReportToALostProcess(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		job := f.hand(a, silence(time.Minute))
		lost := f.hand(b).Process
		if _, err := f.inner.Reap(f.ctx, queue.ReapRequest{Now: time.Now(), Process: lost, Heartbeats: 1, Limit: 1}); err != nil {
			t.Fatal(err)
		}
		report := queue.Report{Handout: job.Handout(), Silence: time.Minute}
		if _, err := b.Renew(f.ctx, report); errors.Is(err, queue.ErrLeaseLost) {
			t.Fatal("a live lease was called lost by a process that is")
		}
		f.settle()
		if _, err := b.Renew(f.ctx, report); err != nil {
			t.Errorf("under its new name: %v", err)
		}
	})
}

// countingClock counts how often a time of a kind is planned.
type countingClock struct {
	quartz.Clock
	tag string
	n   *atomic.Int64
}

func (c countingClock) Now(tags ...string) time.Time {
	if len(tags) > 0 && tags[0] == c.tag {
		c.n.Add(1)
	}
	return c.Clock.Now(tags...)
}

// A report moves an instant; it does not plan another look.
func TestReportsArmNoTimers(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		var planned atomic.Int64
		a := f.start(func(c *acquirer.Config) { c.Clock = countingClock{quartz.NewReal(), "silence", &planned} })
		job := f.hand(a, silence(20*time.Second))
		for range 14_400 {
			if _, err := a.Renew(f.ctx, queue.Report{Handout: job.Handout(), Silence: 20 * time.Second}); err != nil {
				t.Fatal(err)
			}
		}
		if n := planned.Load(); n > 2 {
			t.Errorf("%d looks planned for one job", n)
		}
	})
}

// farSource is a source in another process, whose answers are slow. It is no more than a source.
type farSource struct {
	worker.Source
	delay time.Duration
}

func (s farSource) AcquireJob(ctx context.Context, r queue.Request) (queue.Job, error) {
	job, err := s.Source.AcquireJob(ctx, r)
	if err == nil {
		time.Sleep(s.delay) // in a bubble
	}
	return job, err
}

// A worker far away begins its work when a first report says that the job is still its own.
func TestFarWorkerReportsBeforeItBegins(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(policy(acquirer.RequeueLost(9, time.Hour)))
		var begun atomic.Int64
		f.work(farSource{a, 40 * time.Second}, func(context.Context, *worker.Task) ([]byte, error) {
			begun.Add(1)
			return nil, nil
		}, func(c *worker.Config) { c.Silence = 30 * time.Second })
		f.enqueue(a, f.posting(nil))
		f.pass(50 * time.Second)
		if n := begun.Load(); n != 0 {
			t.Errorf("work was begun %d times after the lease was lost", n)
		}
	})
}

// Neither an event handler nor a policy of the host's that hangs keeps a process from stopping its own jobs in time.
func TestFenceWaitsForNoHostCode(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		hang := make(chan struct{})
		a := f.start(func(c *acquirer.Config) {
			c.Events = func(queue.Event) { <-hang }
			c.Lost = map[string]acquirer.LostPolicy{"": func(context.Context, queue.Job) (acquirer.Verdict, error) {
				<-hang
				return acquirer.Verdict{}, errors.New("too late")
			}}
		})
		defer close(hang)
		job := f.hand(a)
		f.hand(a, silence(time.Second))
		ctx, stop := a.Watch(f.ctx, job.Lease())
		defer stop()
		f.pass(15 * time.Second)
		f.enqueue(a, f.posting(map[string]string{"nobody": "has it"}))
		f.pass(15 * time.Second)
		f.store.Choose(func(acquirertest.Verb) acquirertest.Fault { return acquirertest.Fault{Down: true} })
		f.pass(21 * time.Second)
		if !errors.Is(context.Cause(ctx), queue.ErrLeaseLost) {
			t.Errorf("cut off for longer than a lease less a heartbeat: %v", context.Cause(ctx))
		}
		f.store.Choose(nil)
	})
}

// Heartbeats that take half of their limit are late for nobody.
func TestSlowHeartbeats(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		f.start()
		job := f.hand(a)
		ctx, stop := a.Watch(f.ctx, job.Lease())
		defer stop()
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			if v != acquirertest.Heartbeat {
				return acquirertest.Fault{}
			}
			return acquirertest.Fault{After: func(context.Context) { time.Sleep(5 * time.Second) }} // in a bubble
		})
		f.pass(10 * time.Minute)
		if ctx.Err() != nil {
			t.Errorf("slow heartbeats cost the job: %v", context.Cause(ctx))
		}
		f.store.Choose(nil)
		f.pass(time.Minute)
	})
}

// A job that runs under a process nobody has registered, as after a partial restore, is taken back after a lease.
func TestProcessWithoutRecord(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		full := memory.New()
		f.store = acquirertest.Wrap(full)
		a, stop := f.startStoppable()
		job := f.hand(a)
		f.kill(stop)
		restored := restoreWithoutProcesses(t, full)
		f.store = acquirertest.Wrap(restored)
		b := f.start(policy(acquirer.RequeueLost(9, 0)))
		w := f.joinPlain(b)
		f.pass(25 * time.Second)
		if w.over() {
			t.Fatal("taken from a process that may live, before a lease was over")
		}
		f.pass(20 * time.Second)
		if got := f.mustGet(w, "after a lease"); got.ID != job.ID || got.Attempt != 2 {
			t.Errorf("got %s in attempt %d", got.ID, got.Attempt)
		}
	})
}

// restoreWithoutProcesses dumps a store and restores all but the register of processes.
func restoreWithoutProcesses(t *testing.T, s *memory.Store) *memory.Store {
	t.Helper()
	var dump bytes.Buffer
	if err := s.Dump(&dump); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(dump.String()) {
		if strings.HasPrefix(line, `{"end":`) {
			line = fmt.Sprintf("{\"end\":%d}\n", len(lines))
		}
		if !strings.HasPrefix(line, `{"process":`) {
			lines = append(lines, line)
		}
	}
	restored, err := memory.Restore(strings.NewReader(strings.Join(lines, "")), nil)
	if err != nil {
		t.Fatal(err)
	}
	return restored
}

// A process whose heartbeat comes at the last moment is not reported as lost.
func TestLivingProcessIsNotReportedLost(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		slow := f.store
		job := f.hand(f.start())
		f.store = acquirertest.Wrap(f.inner)
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			if v != acquirertest.Reap {
				return acquirertest.Fault{}
			}
			return acquirertest.Fault{Before: func(context.Context) { // it lives after all
				if _, err := f.inner.Heartbeat(f.ctx, queue.Heartbeat{Process: job.Process, Now: time.Now()}); err != nil {
					t.Error(err)
				}
			}}
		})
		f.start()
		slow.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			return acquirertest.Fault{Down: v == acquirertest.Heartbeat}
		})
		f.pass(2 * time.Minute)
		if lost := f.happened(queue.EventProcessLost); len(lost) != 0 {
			t.Errorf("a live process was reported as lost: %+v", lost)
		}
		if f.store.Calls(acquirertest.Reap) == 0 {
			t.Error("nobody tried to declare it lost")
		}
		slow.Choose(nil)
		f.store.Choose(nil)
	})
}

// The state of a process whose store does not answer says so.
func TestStatsCountFailedHeartbeats(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		f.store.Choose(func(acquirertest.Verb) acquirertest.Fault { return acquirertest.Fault{Down: true} })
		f.pass(time.Minute)
		if n := a.Stats().Failures; n < 3 {
			t.Errorf("%d failures after a minute without the store", n)
		}
		f.store.Choose(nil)
		f.pass(time.Minute)
		if n := a.Stats().Failures; n != 0 {
			t.Errorf("%d failures after the store came back", n)
		}
	})
}

// A job whose process is silent is explained as what it is.
func TestExplainJobOfSilentProcess(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, stop := f.startStoppable()
		job := f.hand(a)
		b := f.start()
		f.pass(5 * time.Second)
		x, err := b.Explain(f.ctx, job.ID)
		if err != nil || strings.Contains(x.Text, "last heard") {
			t.Errorf("of a live process: %q, %v", x.Text, err)
		}
		f.kill(stop)
		f.pass(17 * time.Second)
		x, err = b.Explain(f.ctx, job.ID)
		if err != nil || !strings.Contains(x.Text, "last heard from") || !strings.Contains(x.Text, "taken back at") {
			t.Errorf("of a dead process: %q, %v", x.Text, err)
		}
		synctest.Wait()
	})
}

// listings counts those of all organizations.
type listings struct {
	queue.Store
	ofAll atomic.Int64
}

func (l *listings) Ready(ctx context.Context, now time.Time, q queue.ReadyQuery) (queue.Listing, error) {
	if len(q.Organizations) == 0 {
		l.ofAll.Add(1)
	}
	return l.Store.Ready(ctx, now, q)
}

// Delayed retries are looked for one organization at a time; the listing of all keeps its period.
func TestDelayedRetriesDoNotHastenTheBackup(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		counted := &listings{Store: f.inner}
		f.store = acquirertest.Wrap(counted)
		a := f.start()
		f.pass(time.Minute)
		counted.ofAll.Store(0)
		for range 5 * 60 * 5 {
			p := f.posting(nil)
			p.NotBefore = time.Now().Add(10 * time.Second)
			f.enqueue(a, p)
			f.pass(200 * time.Millisecond)
		}
		if n := counted.ofAll.Load(); n > 15 {
			t.Errorf("%d listings of everything in 5 minutes", n)
		}
		w := f.joinPlain(a)
		f.mustGet(w, "of the delayed jobs that turned ready")
	})
}

// A host that says it is the only process takes the jobs of its former life back at once.
func TestOnlyProcessRecoversAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, stop := f.startStoppable()
		job := f.hand(a)
		f.kill(stop)
		begun := time.Now()
		b := f.start(policy(acquirer.RequeueLost(9, 0)), func(c *acquirer.Config) { c.Alone = true })
		got, err := b.AcquireJob(f.ctx, f.request(nil))
		if err != nil || got.ID != job.ID || got.Attempt != 2 {
			t.Fatalf("got %s in attempt %d, %v", got.ID, got.Attempt, err)
		}
		if took := time.Since(begun); took > 100*time.Millisecond {
			t.Errorf("taken back after %s", took)
		}
		f.pass(time.Minute)
		lost := f.happened(queue.EventProcessLost)
		if len(lost) != 1 || lost[0].Reason != `process "acquirer" was there before this one, which uses the store alone` {
			t.Errorf("told: %+v", lost)
		}
		if n := b.Stats().Processes; n != 1 {
			t.Errorf("%d processes", n)
		}
	})
}

// One job's log does not fill the database: what comes beyond the cap is dropped, and the log says so once, also when the
// worker moves to another process and when the job is handed out again.
func TestLogIsCapped(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		bound := func(c *acquirer.Config) { c.MaxLog = 100_000 }
		a, b := f.start(bound), f.start(bound)
		job := f.hand(a)
		for i := range 50 {
			if i == 20 {
				if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeRequeued}); err != nil {
					t.Fatal(err)
				}
				var err error
				if job, err = a.AcquireJob(f.ctx, f.request(nil)); err != nil {
					t.Fatal(err)
				}
			}
			report := queue.Report{Handout: job.Handout()}
			for range 10 {
				report.Lines = append(report.Lines, queue.Line{Text: strings.Repeat("x", 1000)})
			}
			if _, err := []*acquirer.Acquirer{a, b}[i%2].Renew(f.ctx, report); err != nil {
				t.Fatal(err)
			}
		}
		lines, err := f.inner.Lines(f.ctx, job.ID, 0, 1000)
		want := int(100_000 / queue.LogSize(strings.Repeat("x", 1000)))
		if err != nil || len(lines) != want+1 {
			t.Fatalf("%d lines, %v; want %d and a note", len(lines), err, want)
		}
		if last := lines[want].Text; !strings.Contains(last, "100000 bytes") {
			t.Errorf("the log ends with %.80q", last)
		}
	})
}

// A job that turns ready while a claim is under way, with a number below what the claim takes, is handed out at once: no
// claim promises that nothing lies where something has just come.
func TestReadyBelowAClaim(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(func(c *acquirer.Config) {
			c.Clock = acquirertest.WakeUpsOnly(quartz.NewReal())
			c.Backup = 1000 * time.Hour
		})
		delayed := f.posting(nil)
		delayed.NotBefore = time.Now().Add(10 * time.Second)
		low := f.enqueue(a, delayed)[0]
		p := f.posting(nil)
		q, r := p, p
		q.ID, r.ID = uuid.New(), uuid.New()
		f.enqueue(a, p, q, r)
		if jobs, err := a.AcquireJobs(f.ctx, f.request(nil), 2); err != nil || len(jobs) != 2 {
			t.Fatalf("%d jobs, %v", len(jobs), err)
		}
		f.pass(9 * time.Second)
		goOn := make(chan struct{})
		f.store.Once(acquirertest.Claim, acquirertest.Fault{After: func(context.Context) { <-goOn }})
		first, second := f.joinPlain(a), f.joinPlain(a)
		f.pass(2 * time.Second)
		close(goOn)
		f.pass(time.Second)
		if high := f.mustGet(first, "of the claim under way"); high.Order <= low.Order {
			t.Fatalf("numbers %d and %d: the test proves nothing", high.Order, low.Order)
		}
		if got := f.mustGet(second, "turned ready meanwhile"); got.ID != low.ID {
			t.Errorf("got %s", got.ID)
		}
	})
}
