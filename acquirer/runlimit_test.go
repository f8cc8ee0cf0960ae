package acquirer_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/invalid"
)

// limits runs to an hour, with a grace of ten minutes.
func anHour(c *acquirer.Config) {
	c.RunLimits, c.Grace = map[string]time.Duration{"build": time.Hour}, 10*time.Minute
	c.Lost = map[string]acquirer.LostPolicy{"": acquirer.FailLost()}
}

// elsewhere is a source without Watch: its worker hears everything from the answers to its reports.
type elsewhere struct{ worker.Source }

func TestRunLimit(t *testing.T) {
	t.Parallel()
	for name, remote := range map[string]bool{"in the process": false, "elsewhere": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a := f.start(anHour)
				var source worker.Source = a
				var quiet time.Duration
				if remote {
					source, quiet = elsewhere{a}, 30*time.Second
				}
				var stopped time.Duration
				f.work(source, func(ctx context.Context, task *worker.Task) ([]byte, error) {
					begun := time.Now()
					<-ctx.Done()
					stopped = time.Since(begun)
					if cause := context.Cause(ctx); !errors.Is(cause, queue.ErrTimeout) {
						t.Errorf("the context's cause is %v", cause)
					}
					return nil, errors.New("half done")
				}, func(c *worker.Config) { c.Silence = quiet })
				job := f.enqueue(a, f.posting(nil))[0]
				f.pass(time.Hour - time.Minute)
				if j := f.stored(job.ID); j.State != queue.Running {
					t.Fatalf("a minute before its limit the job is %s: %s", j.State, j.Error)
				}
				f.pass(2 * time.Minute)
				if stopped < time.Hour || stopped > time.Hour+15*time.Second {
					t.Errorf("told to stop after %s", stopped)
				}
				j := f.stored(job.ID)
				if j.State != queue.Failed || !strings.Contains(j.Error, "longer than its limit") || !strings.Contains(j.Error, "half done") {
					t.Errorf("the job is %s: %q", j.State, j.Error)
				}
				if got := f.happened(queue.EventTimeout); len(got) != 1 || got[0].Job.ID != job.ID || got[0].Reason == "" {
					t.Errorf("events %+v", got)
				}
			})
		})
	}
}

// What a posting says goes before the type's limit, and a type's before that of all others.
func TestWhichRunLimit(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(func(c *acquirer.Config) {
			c.RunLimits = map[string]time.Duration{"build": time.Hour, "free": 0, "": time.Minute}
		})
		for kind, want := range map[string]time.Duration{"build": time.Hour, "scan": time.Minute, "free": 0} {
			for _, own := range []time.Duration{0, 7 * time.Second} {
				p := f.posting(nil)
				p.Type, p.RunLimit = kind, own
				job := f.enqueue(a, p)[0]
				got, err := a.AcquireJob(f.ctx, f.request(nil, kind))
				if err != nil || got.ID != job.ID {
					t.Fatal(err)
				}
				x, err := a.Explain(f.ctx, job.ID)
				limit := want
				if own > 0 {
					limit = own
				}
				switch {
				case err != nil:
					t.Fatal(err)
				case limit == 0 && !x.LimitAt.IsZero(), limit > 0 && !x.LimitAt.Equal(got.StartedAt.Add(limit)):
					t.Errorf("%s with a limit of its own of %s: stops at %s, begun %s", kind, own, x.LimitAt, got.StartedAt)
				}
			}
		}
	})
}

// A handler that does not stop loses its lease after the grace, and the error and the explanation say why; so does one of a
// worker elsewhere that goes on reporting, and one that does not heed a cancellation.
func TestNotStoppedIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		silence time.Duration
		cancel  bool
		state   queue.State
		says    string
	}{
		"limit":                   {0, false, queue.Failed, "did not stop within 10m0s after the limit of its run, 1h0m0s"},
		"limit elsewhere":         {30 * time.Second, false, queue.Failed, "did not stop within 10m0s after the limit of its run, 1h0m0s"},
		"cancellation":            {0, true, queue.Failed, "did not stop within 10m0s after it was asked to"},
		"cancellation, elsewhere": {30 * time.Second, true, queue.Failed, "did not stop within 10m0s after it was asked to"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a := f.start(anHour)
				job := f.hand(a, silence(c.silence))
				f.goOn(a, job, c.silence, time.Hour-time.Minute, nil)
				if c.cancel {
					if _, err := a.Cancel(f.ctx, "enough", job.ID); err != nil {
						t.Fatal(err)
					}
				}
				heard := queue.ErrTimeout
				if c.cancel {
					heard = queue.ErrJobCanceled
				}
				f.goOn(a, job, c.silence, 2*time.Minute, heard)
				x, err := a.Explain(f.ctx, job.ID)
				if err != nil || x.GivenUpAt.IsZero() || !strings.Contains(x.Text, "given up at") {
					t.Errorf("explained as %q, given up at %s, %v", x.Text, x.GivenUpAt, err)
				}
				f.goOn(a, job, c.silence, 7*time.Minute, heard)
				if j := f.stored(job.ID); j.State != queue.Running {
					t.Fatalf("given up before the grace is over: %s, %q", j.State, j.Error)
				}
				f.goOn(a, job, c.silence, 3*time.Minute, heard)
				j := f.stored(job.ID)
				if j.State != c.state || !strings.Contains(j.Error, c.says) {
					t.Errorf("the job is %s: %q", j.State, j.Error)
				}
				x, _ = a.Explain(f.ctx, job.ID)
				if !strings.Contains(x.Text, c.says) {
					t.Errorf("explained as %q", x.Text)
				}
				if got := f.happened(queue.EventReaped); len(got) != 1 || !strings.Contains(got[0].Reason, c.says) {
					t.Errorf("events %+v", got)
				}
				if _, err := a.Renew(f.ctx, queue.Report{Handout: job.Handout()}); !errors.Is(err, queue.ErrLeaseLost) {
					t.Errorf("a report afterwards: %v", err)
				}
			})
		})
	}
}

// goOn lets a worker go on for a time, with reports if it is elsewhere, each of which has to hear the same; nil is to go on.
func (f *fleet) goOn(a *acquirer.Acquirer, job queue.Job, silence, d time.Duration, heard error) {
	f.t.Helper()
	if silence == 0 {
		f.pass(d)
		return
	}
	for range d / (10 * time.Second) {
		f.pass(10 * time.Second)
		canceled, err := a.Renew(f.ctx, queue.Report{Handout: job.Handout()})
		if f.stored(job.ID).State != queue.Running || errors.Is(err, queue.ErrLeaseLost) {
			return
		}
		switch {
		case heard == nil && (canceled || err != nil),
			errors.Is(heard, queue.ErrJobCanceled) && (!canceled || err != nil),
			errors.Is(heard, queue.ErrTimeout) && !errors.Is(err, queue.ErrTimeout):
			if !errors.Is(heard, queue.ErrTimeout) || f.stored(job.ID).StartedAt.Add(time.Hour).Before(time.Now()) {
				f.t.Fatalf("a report is answered with %v, %v; want %v", canceled, err, heard)
			}
		}
	}
}

// A worker that moves to another process cannot escape its limit, nor the grace.
func TestRunLimitAcrossProcesses(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(anHour), f.start(anHour)
		job := f.hand(a, silence(30*time.Second))
		for i := range 80 * 6 {
			f.pass(10 * time.Second)
			_, err := []*acquirer.Acquirer{a, b}[i/6%2].Renew(f.ctx, queue.Report{Handout: job.Handout()})
			if over := time.Since(job.StartedAt); err == nil && over > time.Hour+10*time.Second {
				t.Fatalf("told to go on after %s", over)
			}
		}
		if j := f.stored(job.ID); j.State != queue.Failed || !strings.Contains(j.Error, "did not stop") {
			t.Errorf("the job is %s: %q", j.State, j.Error)
		}
	})
}

// A negative grace gives nothing up.
func TestNoGrace(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(anHour, func(c *acquirer.Config) { c.Grace = -1 })
		job := f.hand(a)
		ctx, stop := a.Watch(f.ctx, job.Lease())
		defer stop()
		f.pass(100 * time.Hour)
		if j := f.stored(job.ID); j.State != queue.Running {
			t.Errorf("the job is %s: %q", j.State, j.Error)
		}
		late, stopLate := a.Watch(f.ctx, job.Lease())
		defer stopLate()
		for _, ctx := range []context.Context{ctx, late} {
			if !errors.Is(context.Cause(ctx), queue.ErrTimeout) {
				t.Errorf("the cause is %v", context.Cause(ctx))
			}
		}
	})
}

// The oldest run of a type can be seen from outside before anything is done about it.
func TestOldestRun(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		registry := prometheus.NewRegistry()
		a := f.start(anHour, func(c *acquirer.Config) { c.Registerer = registry })
		f.hand(a)
		f.pass(30 * time.Minute)
		f.hand(a)
		f.pass(10 * time.Minute)
		if got := a.Stats().Oldest["build"]; got.Round(time.Second) != 40*time.Minute {
			t.Errorf("the oldest run is %s old", got)
		}
		if got := gauge(t, registry, "dormouse_job_oldest_run_seconds"); got < 2399 || got > 2401 {
			t.Errorf("the gauge is %v", got)
		}
		f.pass(30 * time.Minute)
		if got := gauge(t, registry, "dormouse_job_timeouts_total"); got != 1 {
			t.Errorf("%v timeouts", got)
		}
	})
}

func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			m := family.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

func TestRunLimitIsChecked(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		_, err := acquirer.New(f.store, nil, acquirer.Config{RunLimits: map[string]time.Duration{"build": -1}})
		var refused *invalid.Error
		if !errors.As(err, &refused) || refused.Field != "Config.RunLimits[build]" {
			t.Errorf("error %v", err)
		}
		a := f.start()
		p := f.posting(nil)
		p.RunLimit = -1
		if _, err := a.Enqueue(f.ctx, p); !errors.As(err, &refused) || refused.Field != "Posting.RunLimit" {
			t.Errorf("error %v", err)
		}
	})
}
