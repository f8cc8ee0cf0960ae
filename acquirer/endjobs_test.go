package acquirer_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
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

// claimed has a worker claim so many jobs.
func (f *fleet) claimed(a *acquirer.Acquirer, n int) []queue.Job {
	f.t.Helper()
	var jobs []queue.Job
	for range n {
		f.enqueue(a, f.posting(nil))
		jobs = append(jobs, f.mustGet(f.joinPlain(a), "claim"))
	}
	return jobs
}

func succeeded(j queue.Job) queue.End {
	return queue.End{Handout: j.Handout(), Outcome: queue.OutcomeSucceeded}
}

// Several ends are one call of the store. What is wrong with one is its own.
func TestEndsOfSeveralJobs(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		jobs := f.claimed(a, 7)
		ends := make([]queue.End, len(jobs))
		for i, j := range jobs {
			ends[i] = succeeded(j)
		}
		ends[1].Secret = queue.NewSecret()
		ends[2].Outcome = "gone"
		ends[3].Process = uuid.New()
		ends[4].Lease.Job = uuid.New()
		ends[5].Outcome, ends[5].Delay = queue.OutcomeRequeued, time.Minute
		ends[6].Outcome, ends[6].Error = queue.OutcomeFailed, "a\x00b"
		before := f.store.Calls(acquirertest.End)
		errs := a.EndJobs(f.ctx, ends)
		for i, want := range []error{nil, queue.ErrLeaseLost, invalid.Err, invalid.Err, queue.ErrLeaseLost, nil, nil} {
			if !errors.Is(errs[i], want) || want == nil && errs[i] != nil {
				t.Errorf("end %d: %v, want %v", i, errs[i], want)
			}
		}
		if n := f.store.Calls(acquirertest.End) - before; n != 1 {
			t.Errorf("%d calls of the store, want 1", n)
		}
		want := []queue.State{queue.Succeeded, queue.Running, queue.Running, queue.Running, queue.Running, queue.Pending, queue.Failed}
		for i, j := range jobs {
			if got := f.stored(j.ID); got.State != want[i] {
				t.Errorf("job %d is %s, want %s", i, got.State, want[i])
			}
		}
		if n := a.Stats().Holding; n != 4 {
			t.Errorf("%d leases are kept, want those of the four that have not ended", n)
		}
		if got := f.stored(jobs[6].ID).Error; got != "ab" && got != "a\ufffdb" {
			t.Errorf("the error is stored as %q", got)
		}
		if errs := a.EndJobs(f.ctx, []queue.End{succeeded(jobs[0]), succeeded(jobs[2]), succeeded(jobs[2])}); slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
			t.Errorf("again, and twice: %v", errs)
		}
		if errs := a.EndJobs(f.ctx, nil); len(errs) != 0 {
			t.Errorf("of none: %v", errs)
		}
		for _, j := range []queue.Job{jobs[1], jobs[3], jobs[4]} {
			if _, err := a.End(f.ctx, succeeded(j)); err != nil {
				t.Error(err)
			}
		}
	})
}

// An end whose answer is lost leaves its lease in the book, and counts when it is repeated.
func TestEndsOfSeveralJobsWithoutAnswer(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]acquirertest.Fault{"down": {Down: true}, "lost": {Lost: true}} {
		bubble(t, func(f *fleet) {
			a := f.start()
			jobs := f.claimed(a, 2)
			f.store.Once(acquirertest.End, fault)
			errs := a.EndJobs(f.ctx, []queue.End{succeeded(jobs[0]), succeeded(jobs[1])})
			if errs[0] == nil || errs[1] == nil || queue.IsAnswer(errs[0]) {
				t.Errorf("%s: %v", name, errs)
			}
			if n := a.Stats().Holding; n != 2 {
				t.Errorf("%s: %d leases are kept, want 2", name, n)
			}
			for _, j := range jobs {
				if _, err := a.End(f.ctx, succeeded(j)); err != nil || f.stored(j.ID).State != queue.Succeeded {
					t.Errorf("%s: %v, job %s", name, err, f.stored(j.ID).State)
				}
			}
			if n := a.Stats().Holding; n != 0 {
				t.Errorf("%s: %d leases are kept, want none", name, n)
			}
		})
	}
}

// A caller who leaves is told for each end that it may be stored or not.
func TestEndsOfSeveralJobsWhoseCallerLeaves(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		jobs := f.claimed(a, 2)
		gate := make(chan struct{})
		f.store.Once(acquirertest.End, acquirertest.Fault{Before: func(context.Context) { <-gate }})
		ctx, cancel := context.WithCancel(f.ctx)
		done := make(chan []error)
		go func() { done <- a.EndJobs(ctx, []queue.End{succeeded(jobs[0]), succeeded(jobs[1])}) }()
		synctest.Wait()
		cancel()
		for i, err := range <-done {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("end %d: %v", i, err)
			}
		}
		close(gate)
		synctest.Wait()
		for _, j := range jobs {
			if _, err := a.End(f.ctx, succeeded(j)); err != nil {
				t.Error(err)
			}
		}
	})
}

// The end of a job whose last call took too long is left to a call of its own.
func TestEndsOfSeveralJobsBesideASlowOne(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(func(c *acquirer.Config) { c.Timeout = time.Second })
		jobs := f.claimed(a, 2)
		f.store.Once(acquirertest.End, acquirertest.Fault{Before: func(ctx context.Context) { <-ctx.Done() }})
		if errs := a.EndJobs(f.ctx, []queue.End{succeeded(jobs[0])}); !errors.Is(errs[0], context.DeadlineExceeded) {
			t.Errorf("the slow one: %v", errs[0])
		}
		errs := a.EndJobs(f.ctx, []queue.End{succeeded(jobs[0]), succeeded(jobs[1])})
		if errs[0] == nil || queue.IsAnswer(errs[0]) || errs[1] != nil {
			t.Errorf("together: %v", errs)
		}
		if errs := a.EndJobs(f.ctx, []queue.End{{Handout: jobs[0].Handout(), Outcome: "gone"}}); !errors.Is(errs[0], invalid.Err) {
			t.Errorf("one that breaks a rule: %v", errs[0])
		}
		if _, err := a.End(f.ctx, succeeded(jobs[0])); err != nil || f.stored(jobs[0].ID).State != queue.Succeeded {
			t.Errorf("by itself: %v", err)
		}
	})
}

// What follows from an end follows from one of several: who waits hears of a job that is ready again, and whoever works on one that is lost stops.
func TestWhatFollowsFromEndsOfSeveralJobs(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		jobs := f.claimed(a, 2)
		next := f.joinPlain(a)
		working, done := a.Watch(f.ctx, jobs[1].Lease())
		defer done()
		over := queue.End{Handout: jobs[1].Handout(), Outcome: queue.OutcomeFailed, Process: jobs[1].Process}
		if answers, err := f.inner.End(f.ctx, time.Now().UTC().Truncate(time.Microsecond), []queue.End{over}); err != nil || answers[0].Err != nil {
			t.Fatal(err, answers)
		}
		again := queue.End{Handout: jobs[0].Handout(), Outcome: queue.OutcomeRequeued}
		errs := a.EndJobs(f.ctx, []queue.End{again, succeeded(jobs[1])})
		if errs[0] != nil || !errors.Is(errs[1], queue.ErrLeaseLost) {
			t.Errorf("%v", errs)
		}
		synctest.Wait()
		if got := f.mustGet(next, "requeued"); got.ID != jobs[0].ID {
			t.Errorf("the next worker got %s", got.ID)
		}
		if !errors.Is(context.Cause(working), queue.ErrLeaseLost) {
			t.Errorf("the work on the lost job goes on: %v", context.Cause(working))
		}
		if n := a.Stats().Holding; n != 1 {
			t.Errorf("%d leases are kept, want that of the next worker", n)
		}
	})
}

// Who is not heard after ends that failed is given up when its silence is over, though nothing was planned while they were under way.
func TestSilenceAfterEndsOfSeveralJobs(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		f.enqueue(a, f.posting(nil))
		r := f.request(nil)
		r.Silence = 5 * time.Second
		job := f.mustGet(f.join(a, r), "claim")
		f.store.Once(acquirertest.End, acquirertest.Fault{Before: func(context.Context) { time.Sleep(8 * time.Second) }, Down: true}) // in a bubble
		if errs := a.EndJobs(f.ctx, []queue.End{succeeded(job)}); errs[0] == nil {
			t.Fatal("no error")
		}
		f.pass(4 * time.Second)
		if got := f.stored(job.ID).State; got != queue.Running {
			t.Errorf("the job is %s before the silence is over", got)
		}
		f.pass(2 * time.Second)
		if got := f.stored(job.ID).State; got == queue.Running {
			t.Error("the job runs on, and nobody is heard of it")
		}
	})
}

// counting is a source that says how ends came to it. Of the first ones that came together it does not answer for the last, or for none at all.
type counting struct {
	a                *acquirer.Acquirer
	together, single atomic.Int64
	// busy counts the calls for several that are under way, and overlaps those that were not the only one.
	busy, overlaps atomic.Int64
	mute           bool
	// gate holds up what comes by itself; nil: nothing does.
	gate chan struct{}
}

func (s *counting) AcquireJob(ctx context.Context, r queue.Request) (queue.Job, error) {
	return s.a.AcquireJob(ctx, r)
}

func (s *counting) Renew(ctx context.Context, r queue.Report) (bool, error) { return s.a.Renew(ctx, r) }

func (s *counting) End(ctx context.Context, e queue.End) (queue.Job, error) {
	s.single.Add(1)
	if s.gate != nil {
		<-s.gate
	}
	return s.a.End(ctx, e)
}

func (s *counting) EndJobs(ctx context.Context, ends []queue.End) []error {
	if s.busy.Add(1) > 1 {
		s.overlaps.Add(1)
	}
	defer s.busy.Add(-1)
	if s.mute {
		return nil
	}
	if s.together.Add(int64(len(ends))) == int64(len(ends)) {
		return s.a.EndJobs(ctx, ends[:len(ends)-1])
	}
	return s.a.EndJobs(ctx, ends)
}

// A worker has its ends stored together, whether its slots wait for them or not, and by themselves if the source says nothing of them.
func TestEndsComeTogether(t *testing.T) {
	t.Parallel()
	for _, ending := range []int{0, 3} {
		bubble(t, func(f *fleet) {
			source := &counting{a: f.start()}
			f.store.Choose(func(v acquirertest.Verb) (fault acquirertest.Fault) {
				if v == acquirertest.End {
					fault.Before = func(context.Context) { time.Sleep(10 * time.Millisecond) } // in a bubble
				}
				return fault
			})
			stop := f.work(source, func(context.Context, *worker.Task) ([]byte, error) { return nil, nil },
				func(c *worker.Config) { c.Slots, c.Ending = 2, ending })
			var jobs []queue.Job
			for range 9 {
				jobs = append(jobs, f.enqueue(source.a, f.posting(nil))...)
			}
			f.settle()
			stop()
			if together, single := source.together.Load(), source.single.Load(); together != 9 || single != 1 {
				t.Errorf("Ending %d: %d ends came together and %d by themselves, want 9 and 1", ending, together, single)
			}
			if n := source.overlaps.Load(); n > 0 {
				t.Errorf("Ending %d: %d calls for several ends were made beside another", ending, n)
			}
			for _, j := range jobs {
				if got := f.stored(j.ID).State; got != queue.Succeeded {
					t.Errorf("Ending %d: a job is %s", ending, got)
				}
			}
		})
	}
}

// An end that goes by itself makes room for the next when it is stored.
func TestEndsThatGoAloneMakeRoom(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		source := &counting{a: f.start(), mute: true, gate: make(chan struct{}, 1)}
		var ran atomic.Int64
		stop := f.work(source, func(context.Context, *worker.Task) ([]byte, error) {
			ran.Add(1)
			return nil, nil
		}, func(c *worker.Config) { c.Slots, c.Ending = 1, 1 })
		f.enqueue(source.a, f.posting(nil))
		source.gate <- struct{}{}
		f.settle()
		f.enqueue(source.a, f.posting(nil))
		f.enqueue(source.a, f.posting(nil))
		f.settle()
		if n := ran.Load(); n != 3 {
			t.Errorf("%d jobs have run, want the third beside the end of the second", n)
		}
		close(source.gate)
		stop()
	})
}

// Ends that went together make room for as many when they are stored, and the worker waits for those on their way when it stops.
func TestEndsThatGoTogetherMakeRoom(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		source := &counting{a: f.start()}
		var ran atomic.Int64
		stop := f.work(source, func(context.Context, *worker.Task) ([]byte, error) {
			ran.Add(1)
			return nil, nil
		}, func(c *worker.Config) { c.Slots, c.Ending = 1, 1 })
		hold := func() (release func()) {
			gate := make(chan struct{})
			f.store.Choose(func(v acquirertest.Verb) (fault acquirertest.Fault) {
				if v == acquirertest.End {
					fault.Before = func(context.Context) { <-gate }
				}
				return fault
			})
			return func() { close(gate) }
		}
		for range 3 {
			f.enqueue(source.a, f.posting(nil))
			f.settle()
		}
		release := hold()
		f.enqueue(source.a, f.posting(nil), f.posting(nil), f.posting(nil))
		f.settle()
		if n := ran.Load(); n != 5 {
			t.Errorf("%d jobs have run, want three, one whose end is on its way, and one whose slot waits", n)
		}
		release()
		f.settle()
		release = hold()
		f.enqueue(source.a, f.posting(nil))
		f.settle()
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			stop()
		}()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("the worker has stopped before its last end was stored")
		default:
		}
		release()
		<-stopped
		if n := source.a.Stats().Holding; n != 0 || ran.Load() != 7 {
			t.Errorf("%d leases are kept, %d jobs have run", n, ran.Load())
		}
	})
}

// refusedRow is a store that cannot store the end of one job, and takes its time over each call.
type refusedRow struct {
	queue.Store
	job atomic.Pointer[uuid.UUID]
	// calls counts those that were not about the job alone.
	calls atomic.Int64
}

func (s *refusedRow) End(ctx context.Context, now time.Time, ends []queue.End) ([]queue.Ended, error) {
	time.Sleep(10 * time.Millisecond) // in a bubble: what ends meanwhile goes with the next call
	at := slices.IndexFunc(ends, func(e queue.End) bool { return e.Lease.Job == *s.job.Load() })
	if at < 0 || len(ends) > 1 {
		s.calls.Add(1)
	}
	if at < 0 {
		return s.Store.End(ctx, now, ends)
	}
	var answers []queue.Ended
	if others := slices.Concat(ends[:at], ends[at+1:]); len(others) > 0 {
		var err error
		if answers, err = s.Store.End(ctx, now, others); err != nil {
			return nil, err
		}
	}
	return slices.Insert(answers, at, queue.Ended{Err: errors.New("refused")}), nil
}

// A worker's ends go together, in few calls, while its slots run the next jobs; one that the store cannot store does not hold up the
// others, and is stored when it can be.
func TestWorkersEndsGoTogether(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		rows := &refusedRow{Store: f.store}
		a, err := acquirer.New(rows, f.bus, acquirer.Config{Events: f.event, StopTimeout: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(f.ctx)
		over := make(chan struct{})
		go func() {
			defer close(over)
			_ = a.Run(ctx)
		}()
		f.stoppers = append(f.stoppers, func() { cancel(); <-over })
		const jobs, slots = 200, 5
		var postings []queue.Posting
		for range jobs {
			postings = append(postings, f.posting(nil))
		}
		rows.job.Store(&postings[7].ID)
		synctest.Wait()
		f.enqueue(a, postings...)
		var ran atomic.Int64
		stop := f.work(a, func(context.Context, *worker.Task) ([]byte, error) {
			ran.Add(1)
			return nil, nil
		}, func(c *worker.Config) { c.Slots, c.Ending, c.Deliver = slots, jobs, time.Hour })
		f.pass(time.Minute)
		if n := ran.Load(); n != jobs {
			t.Errorf("%d jobs have run, want %d", n, jobs)
		}
		for i, p := range postings {
			want := queue.Succeeded
			if i == 7 {
				want = queue.Running
			}
			if got := f.stored(p.ID).State; got != want {
				t.Errorf("job %d is %s, want %s", i, got, want)
			}
		}
		if n := rows.calls.Load(); n > jobs/4 {
			t.Errorf("%d calls for %d ends", n, jobs)
		}
		rows.job.Store(&uuid.UUID{})
		f.pass(time.Minute)
		if got := f.stored(postings[7].ID).State; got != queue.Succeeded {
			t.Errorf("the job is %s once the store takes its end", got)
		}
		stop()
	})
}

// endsHang lets no end be stored, until it is called.
func (f *fleet) endsHang() (goOn func()) {
	f.store.Choose(func(v acquirertest.Verb) (fault acquirertest.Fault) {
		if v == acquirertest.End {
			fault.Before = func(ctx context.Context) { <-ctx.Done() }
		}
		return fault
	})
	return func() {
		f.store.Choose(nil)
		f.pass(2 * time.Minute) // what the store has begun ends, and calls about these jobs go together again
	}
}

// An end is given up when its time is over, as if it had gone by itself, however long the store takes over it and over others before it.
func TestEndsThatGoTogetherHaveTheirTime(t *testing.T) {
	t.Parallel()
	const deliver = time.Second
	for ending := range 3 {
		bubble(t, func(f *fleet) {
			a := f.start()
			var began atomic.Int64
			stop := f.work(a, func(context.Context, *worker.Task) ([]byte, error) {
				time.Sleep(time.Duration(began.Add(1)-1) * deliver / 2) // in a bubble
				return nil, nil
			}, func(c *worker.Config) { c.Slots, c.Ending, c.Deliver = 2, ending, deliver })
			f.enqueue(a, f.posting(nil))
			f.settle() // its end is stored
			goOn := f.endsHang()
			f.enqueue(a, f.posting(nil), f.posting(nil))
			synctest.Wait()
			begun := time.Now()
			stop()
			if took := time.Since(begun); began.Load() != 3 || took != 2*deliver {
				t.Errorf("Ending %d: after %d jobs the worker took %v, want %v for the last one and as long for its end", ending, began.Load(), took, deliver)
			}
			goOn()
		})
	}
}

// After ends whose time was over others go together as before.
func TestEndsGoTogetherAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, goOn := f.start(), f.endsHang()
		stop := f.work(a, func(context.Context, *worker.Task) ([]byte, error) { return nil, nil },
			func(c *worker.Config) { c.Deliver = time.Second })
		f.enqueue(a, f.posting(nil))
		f.settle()
		goOn()
		before := f.store.Calls(acquirertest.End)
		for range 2 {
			job := f.enqueue(a, f.posting(nil))[0]
			f.settle() // longer than an end has
			if got := f.stored(job.ID).State; got != queue.Succeeded {
				t.Errorf("the job is %s", got)
			}
		}
		if n := f.store.Calls(acquirertest.End) - before; n != 2 {
			t.Errorf("%d calls of the store for two ends, one after the other", n)
		}
		stop()
	})
}

// wrapped is a source that does something of its own about ends.
type wrapped struct {
	*acquirer.Acquirer
	single atomic.Int64
}

// End counts what goes by itself.
func (s *wrapped) End(ctx context.Context, e queue.End) (queue.Job, error) {
	s.single.Add(1)
	return s.Acquirer.End(ctx, e)
}

// Whoever embeds an acquirer in a source of his own has its End called, for each end.
func TestAnEmbeddedAcquirerDoesNotEndPastItsSource(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		source := &wrapped{Acquirer: f.start()}
		stop := f.work(source, func(context.Context, *worker.Task) ([]byte, error) { return nil, nil },
			func(c *worker.Config) { c.Slots, c.Ending = 2, 10 })
		for range 9 {
			f.enqueue(source.Acquirer, f.posting(nil))
		}
		f.settle()
		stop()
		if n := source.single.Load(); n != 9 {
			t.Errorf("%d of 9 ends went through the source's own method", n)
		}
	})
}
