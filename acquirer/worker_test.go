package acquirer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/invalid"
)

// work starts a worker on a source; the returned function stops it and waits.
func (f *fleet) work(source worker.Source, handler worker.Handler, change ...func(*worker.Config)) func() {
	f.t.Helper()
	cfg := worker.Config{Organization: f.org, Types: []string{"build"}}
	for _, c := range change {
		c(&cfg)
	}
	w, err := worker.New(source, handler, cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(f.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Run(ctx); err != nil {
			f.t.Errorf("the worker ended with %v", err)
		}
	}()
	stop := func() { cancel(); <-done }
	f.stoppers = append([]func(){stop}, f.stoppers...)
	synctest.Wait()
	return stop
}

func TestWorkerOutcomes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler worker.Handler
		want    queue.State
		text    string
	}{
		"result": {func(context.Context, *worker.Task) ([]byte, error) { return []byte("r"), nil }, queue.Succeeded, ""},
		"error":  {func(context.Context, *worker.Task) ([]byte, error) { return nil, errors.New("no disk") }, queue.Failed, "no disk"},
		"panic":  {func(context.Context, *worker.Task) ([]byte, error) { panic("oops") }, queue.Failed, "panic: oops"},
		"goexit": {func(context.Context, *worker.Task) ([]byte, error) { runtime.Goexit(); return nil, nil }, queue.Failed, "without returning"},
		"retry": {func(_ context.Context, task *worker.Task) ([]byte, error) {
			if task.Job.Attempt < 3 {
				return nil, worker.Retry(time.Minute, errors.New("not yet"))
			}
			return nil, nil
		}, queue.Succeeded, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a := f.start()
				f.work(a, test.handler)
				job := f.enqueue(a, f.posting(nil))[0]
				f.pass(5 * time.Minute)
				got := f.stored(job.ID)
				if got.State != test.want || !strings.Contains(got.Error, test.text) {
					t.Errorf("the job is %s: %q", got.State, got.Error)
				}
				next := f.enqueue(a, f.posting(nil))[0]
				f.pass(5 * time.Minute)
				if !f.stored(next.ID).State.Final() {
					t.Error("the worker did not go on")
				}
			})
		})
	}
}

func TestWorkerSlots(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		var now, most atomic.Int64
		f.work(a, func(context.Context, *worker.Task) ([]byte, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second) // in a bubble
			now.Add(-1)
			return nil, nil
		}, func(c *worker.Config) { c.Slots = 3 })
		for range 9 {
			f.enqueue(a, f.posting(nil))
		}
		f.pass(10 * time.Second)
		if most.Load() != 3 {
			t.Errorf("%d jobs at once, want 3", most.Load())
		}
		if n := a.Stats().Holding; n != 0 {
			t.Errorf("%d jobs not ended", n)
		}
	})
}

func TestWorkerReports(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		f.work(a, func(_ context.Context, task *worker.Task) ([]byte, error) {
			task.Progress(140, "nearly")
			fmt.Fprint(task, "one\r\ntwo\nthr")
			time.Sleep(3 * time.Second) // in a bubble
			fmt.Fprint(task, "ee")
			task.Logf("four %d", 4)
			return nil, nil
		})
		job := f.enqueue(a, f.posting(nil))[0]
		f.pass(2 * time.Second)
		if got := f.stored(job.ID); got.Progress != (queue.Progress{Percent: 100, Message: "nearly"}) {
			t.Errorf("progress while it runs: %+v", got.Progress)
		}
		f.pass(2 * time.Second)
		lines, err := f.inner.Lines(f.ctx, job.ID, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, line := range lines {
			texts = append(texts, line.Text)
		}
		if got := strings.Join(texts, "|"); got != "one|two|four 4|three" {
			t.Errorf("lines %q", got)
		}
	})
}

// Lines are kept while the store is away, and none is lost or out of order afterwards.
func TestWorkerReportsAfterOutage(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		f.work(a, func(_ context.Context, task *worker.Task) ([]byte, error) {
			for i := range 10 {
				task.Logf("%d", i)
				time.Sleep(time.Second) // in a bubble
			}
			return nil, nil
		})
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault { return acquirertest.Fault{Down: v == acquirertest.Renew} })
		job := f.enqueue(a, f.posting(nil))[0]
		f.pass(5500 * time.Millisecond)
		f.store.Choose(nil)
		f.pass(10 * time.Second)
		lines, _ := f.inner.Lines(f.ctx, job.ID, 0, 100)
		var got string
		for _, line := range lines {
			got += line.Text
		}
		if got != "0123456789" {
			t.Errorf("lines %q", got)
		}
	})
}

func TestWorkerCancel(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		f.work(a, func(ctx context.Context, _ *worker.Task) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		job := f.enqueue(a, f.posting(nil))[0]
		if _, err := a.Cancel(f.ctx, "stop", job.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := f.stored(job.ID); got.State != queue.Canceled {
			t.Errorf("the job is %s", got.State)
		}
	})
}

// Draining lets a job end, takes no new one, and in the end puts back what does not end.
func TestWorkerDrains(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		stop := f.work(a, func(ctx context.Context, task *worker.Task) ([]byte, error) {
			if string(task.Job.Payload) == "long" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			time.Sleep(20 * time.Second) // in a bubble
			return nil, ctx.Err()
		}, func(c *worker.Config) { c.Slots = 2 })
		long := f.posting(nil)
		long.Payload = []byte("long")
		jobs := f.enqueue(a, f.posting(nil), long)
		begun := time.Now()
		go f.enqueueLater(a, 5*time.Second)
		stop()
		if took := time.Since(begun); took != time.Minute {
			t.Errorf("drained in %s, want a minute", took)
		}
		if got := f.stored(jobs[0].ID); got.State != queue.Succeeded {
			t.Errorf("the short job is %s: %s", got.State, got.Error)
		}
		if got := f.stored(jobs[1].ID); got.State != queue.Pending || got.Attempt != 1 {
			t.Errorf("the long job is %s in attempt %d, want pending", got.State, got.Attempt)
		}
		if n := a.Stats().Waiting; n != 0 {
			t.Errorf("%d slots still wait", n)
		}
	})
}

// enqueueLater posts later; nobody may take it.
func (f *fleet) enqueueLater(a *acquirer.Acquirer, in time.Duration) {
	time.Sleep(in) // in a bubble
	_, _ = a.Enqueue(f.ctx, f.posting(nil))
}

// far is a source in another process whose connection the test can cut.
type far struct {
	*acquirertest.Store // only to count
	inner               *acquirer.Acquirer
	cut                 atomic.Bool
}

var errCut = errors.New("connection refused")

func (s *far) AcquireJob(ctx context.Context, r queue.Request) (queue.Job, error) {
	if s.cut.Load() {
		return queue.Job{}, errCut
	}
	return s.inner.AcquireJob(ctx, r)
}

func (s *far) Renew(ctx context.Context, r queue.Report) (bool, error) {
	if s.cut.Load() {
		return false, errCut
	}
	return s.inner.Renew(ctx, r)
}

func (s *far) End(ctx context.Context, e queue.End) (queue.Job, error) {
	if s.cut.Load() {
		return queue.Job{}, errCut
	}
	return s.inner.End(ctx, e)
}

// A worker cut off from its source stops the job before the silence agreed is over, and the job comes back.
func TestWorkerCutOff(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(func(c *acquirer.Config) {
			c.Lost = map[string]acquirer.LostPolicy{"": acquirer.RequeueLost(9, 0)}
		})
		source := &far{inner: a}
		var running, overlaps atomic.Int64
		var ended time.Time
		handler := func(ctx context.Context, _ *worker.Task) ([]byte, error) {
			if running.Add(1) > 1 {
				overlaps.Add(1)
			}
			defer running.Add(-1)
			<-ctx.Done()
			ended = time.Now()
			return nil, ctx.Err()
		}
		f.work(source, handler, func(c *worker.Config) { c.Silence = 30 * time.Second })
		f.enqueue(a, f.posting(nil))
		f.pass(5 * time.Minute)
		if running.Load() != 1 || !ended.IsZero() {
			t.Fatal("a worker that reports was stopped")
		}
		second := f.joinPlain(a)
		source.cut.Store(true)
		begun := time.Now()
		<-second.done
		f.mustGet(second, "after the first worker was cut off")
		taken := time.Now()
		synctest.Wait()
		if ended.IsZero() || !ended.Before(taken) || overlaps.Load() > 0 {
			t.Errorf("stopped at %s, taken over at %s", ended.Sub(begun), taken.Sub(begun))
		}
	})
}

// A worker whose source has stopped for good says so; one whose context ended has nothing to say.
func TestWorkerRunsOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, stop := f.startStoppable()
		w, err := worker.New(a, func(context.Context, *worker.Task) ([]byte, error) { return nil, nil },
			worker.Config{Organization: f.org, Types: []string{"build"}})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- w.Run(f.ctx) }()
		synctest.Wait()
		if err := w.Run(f.ctx); !errors.Is(err, worker.ErrAlreadyRun) {
			t.Errorf("a second Run: %v", err)
		}
		stop()
		if err := <-ended; !errors.Is(err, queue.ErrStopped) {
			t.Errorf("after the source stopped: %v, want ErrStopped", err)
		}
	})
}

func TestWorkerConfigIsChecked(t *testing.T) {
	t.Parallel()
	handler := func(context.Context, *worker.Task) ([]byte, error) { return nil, nil }
	source := &far{}
	for name, make := range map[string]func() (*worker.Worker, error){
		"source": func() (*worker.Worker, error) {
			return worker.New(nil, handler, worker.Config{Types: []string{"a"}})
		},
		"handler": func() (*worker.Worker, error) {
			return worker.New(source, nil, worker.Config{Types: []string{"a"}})
		},
		"Config.Types": func() (*worker.Worker, error) { return worker.New(source, handler, worker.Config{}) },
		"Config.Slots": func() (*worker.Worker, error) {
			return worker.New(source, handler, worker.Config{Types: []string{"a"}, Slots: -1})
		},
		"Config.Ending": func() (*worker.Worker, error) {
			return worker.New(source, handler, worker.Config{Types: []string{"a"}, Ending: -1})
		},
	} {
		_, err := make()
		var field *invalid.Error
		if !errors.As(err, &field) || field.Field != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A result that may not be stored fails the job at once and says why; nothing is kept for it.
func TestResultTooLarge(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]func(*acquirer.Acquirer) worker.Source{
		"here":     func(a *acquirer.Acquirer) worker.Source { return a },
		"far away": func(a *acquirer.Acquirer) worker.Source { return farSource{a, 0} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a := f.start()
				f.work(source(a), func(context.Context, *worker.Task) ([]byte, error) {
					return make([]byte, queue.MaxResult+1), nil
				}, func(c *worker.Config) { c.Silence = time.Minute })
				job := f.enqueue(a, f.posting(nil))[0]
				f.pass(time.Second)
				if got := f.stored(job.ID); got.State != queue.Failed || !strings.Contains(got.Error, "Result") {
					t.Errorf("the job is %s: %q", got.State, got.Error)
				}
				if n := a.Stats().Holding; n != 0 {
					t.Errorf("%d leases are kept", n)
				}
			})
		})
	}
}

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

type badError struct{}

func (badError) Error() string { panic("no text") }

// An error whose own methods panic fails the job, not the process.
func TestErrorsThatPanic(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		text string
	}{
		"typed nil":    {(*nilError)(nil), "panicked"},
		"panics":       {badError{}, "no text"},
		"retry of one": {worker.Retry(time.Hour, badError{}), "no text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a := f.start()
				f.work(a, func(context.Context, *worker.Task) ([]byte, error) { return nil, test.err })
				job := f.enqueue(a, f.posting(nil))[0]
				f.pass(time.Second)
				if got := f.stored(job.ID); got.State != queue.Failed || !strings.Contains(got.Error, test.text) {
					t.Errorf("the job is %s: %q", got.State, got.Error)
				}
			})
		})
	}
	bubble(t, func(f *fleet) {
		a := f.start()
		f.work(a, func(context.Context, *worker.Task) ([]byte, error) { return nil, worker.Retry(time.Hour, nil) })
		job := f.enqueue(a, f.posting(nil))[0]
		f.pass(time.Second)
		if got := f.stored(job.ID); got.State != queue.Pending || got.Error == "" {
			t.Errorf("retried for no reason the job is %s: %q", got.State, got.Error)
		}
	})
}

// A job with much to say does not storm a store that is down, and keeps a bounded part of it.
func TestReportStorm(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		line := strings.Repeat("x", 8<<10)
		f.work(a, func(ctx context.Context, task *worker.Task) ([]byte, error) {
			for range 900 {
				for range 20 {
					task.Logf("%s", line)
				}
				time.Sleep(10 * time.Millisecond) // in a bubble
			}
			return nil, nil
		})
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault { return acquirertest.Fault{Down: v == acquirertest.Renew} })
		job := f.enqueue(a, f.posting(nil))[0]
		f.pass(8 * time.Second)
		if n := f.store.Calls(acquirertest.Renew); n == 0 || n > 20 {
			t.Errorf("%d reports in 8 s to a store that is down", n)
		}
		f.store.Choose(nil)
		f.pass(time.Minute)
		lines, err := f.inner.Lines(f.ctx, job.ID, 0, 20_000)
		size := 0
		for _, l := range lines {
			size += len(l.Text)
		}
		if err != nil || size < 1<<20 || size > 5<<20 || !strings.Contains(lines[0].Text, "dropped") {
			t.Errorf("%d lines of %d bytes, the first %.60q, %v", len(lines), size, lines[0].Text, err)
		}
	})
}
