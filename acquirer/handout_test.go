package acquirer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

// forged are handouts of a job made of all that can be heard of it: all but the secret, and what one has by oneself.
func forged(job, own queue.Job) map[string]queue.Handout {
	known := job.Handout()
	known.Secret = queue.Secret{}
	list := map[string]queue.Handout{"all but the secret": known}
	known.Secret = own.Secret
	list["the secret of another job"] = known
	copy(known.Secret[:], job.Token[:])
	list["the token"] = known
	stolen := job.Handout()
	stolen.Worker = own.Worker
	list["a secret that was given to another worker"] = stolen
	stolen = job.Handout()
	stolen.Organization = uuid.New()
	list["another organization"] = stolen
	return list
}

// Nobody but the worker that got a job has any effect on it, in the process that keeps the lease or in another one, neither in the
// store nor on who works on it here.
func TestForgedHandoutsHaveNoEffect(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		job := f.hand(a, func(r *queue.Request) { r.Silence = time.Minute })
		own := f.hand(b)
		working, stop := a.Watch(f.ctx, job.Lease())
		defer stop()
		for name, h := range forged(job, own) {
			for at, process := range map[string]interface {
				Renew(context.Context, queue.Report) (bool, error)
				End(context.Context, queue.End) (queue.Job, error)
				EndJobs(context.Context, []queue.End) []error
			}{"the keeper": a, "another process": b} {
				_, err := process.Renew(f.ctx, queue.Report{Handout: h, Silence: time.Nanosecond, Lines: []queue.Line{{Text: "forged"}}})
				if !errors.Is(err, queue.ErrLeaseLost) {
					t.Errorf("%s, to %s: a report: %v", name, at, err)
				}
				end := queue.End{Handout: h, Outcome: queue.OutcomeSucceeded, Result: []byte("forged")}
				got, err := process.End(f.ctx, end)
				if !errors.Is(err, queue.ErrLeaseLost) || got.ID != uuid.Nil {
					t.Errorf("%s, to %s: an end: %+v, %v", name, at, got, err)
				}
				if errs := process.EndJobs(f.ctx, []queue.End{end}); !errors.Is(errs[0], queue.ErrLeaseLost) {
					t.Errorf("%s, to %s: an end of several: %v", name, at, errs[0])
				}
			}
		}
		f.pass(30 * time.Second)
		lines, _ := f.inner.Lines(f.ctx, job.ID, 0, 9)
		if stored := f.stored(job.ID); working.Err() != nil || len(lines) != 0 || stored.State != queue.Running || stored.Process != job.Process {
			t.Fatalf("interrupted by %v, lines %v, stored %+v", context.Cause(working), lines, stored)
		}
		if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			t.Errorf("the worker's own end: %v", err)
		}
		if n := len(f.happened(queue.EventReaped)); n != 0 {
			t.Errorf("%d jobs were taken back", n)
		}
	})
}

// Forged signs of life do not keep the lease of a worker that is gone.
func TestForgedSignsOfLife(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		job := f.hand(a, func(r *queue.Request) { r.Silence = 10 * time.Second })
		own := f.hand(b)
		for range 20 {
			f.pass(time.Second)
			for _, h := range forged(job, own) {
				_, _ = a.Renew(f.ctx, queue.Report{Handout: h, Silence: time.Hour})
				_, _ = b.Renew(f.ctx, queue.Report{Handout: h, Silence: time.Hour})
			}
		}
		if n := len(f.happened(queue.EventReaped)); n != 1 {
			t.Errorf("%d jobs were taken back, want the one of the silent worker", n)
		}
	})
}

// A worker cannot judge as the process does.
func TestEndOfAProcessIsRefused(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		job := f.hand(a)
		end := queue.End{Handout: queue.Handout{Lease: job.Lease()}, Process: job.Process, Outcome: queue.OutcomeSucceeded}
		if _, err := a.End(f.ctx, end); !errors.Is(err, invalid.Err) {
			t.Errorf("a verdict from outside: %v", err)
		}
	})
}

// What a worker ends it has read; the answer does not repeat it.
func TestEndAnswersNoPayload(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		w, p := f.joinPlain(a), f.posting(nil)
		p.Payload = []byte("secret")
		f.enqueue(a, p)
		job := f.mustGet(w, "posted")
		end := queue.End{Handout: job.Handout(), Outcome: queue.OutcomeFailed, Error: "secret"}
		for range 2 {
			got, err := a.End(f.ctx, end)
			if err != nil || got.State != queue.Failed || got.Payload != nil || got.Error != "" || !got.Secret.IsZero() {
				t.Errorf("%+v, %v", got, err)
			}
		}
	})
}

// A job claimed for a worker who has left goes to the next in line, and the store knows it by the time that one has it.
func TestMovedJobIsTheNewWorkers(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		goOn := make(chan struct{})
		f.store.Once(acquirertest.Claim, acquirertest.Fault{After: func(context.Context) { <-goOn }})
		first := f.joinPlain(a)
		f.enqueue(a, f.posting(nil))
		first.cancel()
		second := f.joinPlain(a)
		close(goOn)
		f.pass(0)
		job := f.mustGet(second, "the next in line")
		if stored := f.stored(job.ID); stored.Worker != job.Worker {
			t.Errorf("the store names worker %s, the job %s", stored.Worker, job.Worker)
		}
		if _, err := a.Renew(f.ctx, queue.Report{Handout: job.Handout()}); err != nil {
			t.Errorf("its report: %v", err)
		}
		if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			t.Errorf("its end: %v", err)
		}
	})
}

// If the store cannot be told of the new worker, that one waits on and gets a job in the end, once.
func TestMovedJobComesAgain(t *testing.T) {
	t.Parallel()
	for name, leaves := range map[string]bool{"waits": false, "leaves too": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(f *fleet) {
				a := f.start()
				goOn, told := make(chan struct{}), make(chan struct{})
				f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
					switch v {
					case acquirertest.Claim:
						return acquirertest.Fault{After: func(context.Context) { <-goOn }}
					case acquirertest.Reassign:
						return acquirertest.Fault{Down: true, Before: func(context.Context) { <-told }}
					}
					return acquirertest.Fault{}
				})
				first := f.joinPlain(a)
				posted := f.enqueue(a, f.posting(nil))
				first.cancel()
				second := f.joinPlain(a)
				close(goOn)
				f.pass(0)
				if second.over() {
					t.Fatal("the job was handed out before the store knew of it")
				}
				f.store.Choose(nil)
				if leaves {
					second.cancel()
					second = f.joinPlain(a)
				}
				close(told)
				f.settle()
				job := f.mustGet(second, "after the store came back")
				if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil || job.ID != posted[0].ID {
					t.Errorf("its end: %v", err)
				}
				if n := a.Stats().Holding; n != 0 {
					t.Errorf("%d leases are left", n)
				}
			})
		})
	}
}
