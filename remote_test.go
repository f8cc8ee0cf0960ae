package dormouse_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// A worker of another process carries builds out, and the workspace knows how they went.
func TestRemoteWorker(t *testing.T) {
	bubble(t, func(c *dormouse.Config) { c.Build = nil }, func(f *fixture) {
		fail := false
		w, err := worker.New(f.Remote(acquirer.Identity{Worker: uuid.New(), Slots: 2}), func(_ context.Context, task *worker.Task) ([]byte, error) {
			b, err := buildjobs.BuildOf(task.Job)
			f.must(err)
			task.Logf("%s", b.Transition)
			time.Sleep(time.Minute)
			if fail {
				return nil, errors.New("no space left")
			}
			return []byte("http://box"), nil
		}, worker.Config{Types: []string{lifecycle.JobType}, Slots: 2, Silence: 30 * time.Second})
		f.must(err)
		ctx, cancel := context.WithCancel(f.t.Context())
		ran := make(chan error, 1)
		go func() { ran <- w.Run(ctx) }()
		ws := f.create("api")
		_, err = f.Start(f.t.Context(), ws.ID)
		f.must(err)
		f.wait(10 * time.Second)
		if b, err := f.Builds(f.t.Context(), ws.ID, 0, 1); err != nil || b[0].Status != lifecycle.JobRunning {
			t.Errorf("while the worker is at it: %+v, %v", b, err)
		}
		f.wait(2 * time.Minute)
		f.want(ws.ID, lifecycle.StatusRunning, 1)
		if got, _ := f.Get(f.t.Context(), ws.ID); got.Result != "http://box" || got.Deadline.IsZero() {
			t.Errorf("after its start: %+v", got)
		}
		fail = true
		_, err = f.Stop(f.t.Context(), ws.ID)
		f.must(err)
		f.wait(2 * time.Minute)
		f.want(ws.ID, lifecycle.StatusFailed, 2)
		if b, err := f.Builds(f.t.Context(), ws.ID, 0, 1); err != nil || b[0].Error != "no space left" {
			t.Errorf("a build that failed: %+v, %v", b, err)
		}
		cancel()
		f.must(<-ran)
	})
}

// An end whose answer was lost is repeated, and who holds no handout ends nothing.
func TestRemoteEnd(t *testing.T) {
	bubble(t, func(c *dormouse.Config) { c.Build = nil }, func(f *fixture) {
		ws := f.create("api")
		_, err := f.Start(f.t.Context(), ws.ID)
		f.must(err)
		r := f.Remote(acquirer.Identity{Worker: uuid.New()})
		j, err := r.AcquireJob(f.t.Context(), queue.Request{Types: []string{lifecycle.JobType}})
		f.must(err)
		thief := f.Remote(acquirer.Identity{Worker: uuid.New()})
		end := queue.End{Handout: j.Handout(), Outcome: queue.OutcomeSucceeded, Result: []byte("there")}
		if _, err := thief.End(f.t.Context(), end); !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("another worker ends it: %v", err)
		}
		f.want(ws.ID, lifecycle.StatusStarting, 1)
		for range 2 {
			_, err := r.End(f.t.Context(), end)
			f.must(err)
		}
		f.want(ws.ID, lifecycle.StatusRunning, 1)
		// A build that is over is not handed out.
		_, err = f.Stop(f.t.Context(), ws.ID)
		f.must(err)
		s, err := f.Executor().Load(f.t.Context(), ws.ID)
		f.must(err)
		_, err = f.Executor().Update(f.t.Context(), ws.ID, lifecycle.JobEnded(lifecycle.JobResult{BuildID: s.Build.ID, Status: lifecycle.JobFailed}))
		f.must(err)
		ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
		defer cancel()
		if j, err := r.AcquireJob(ctx, queue.Request{Types: []string{lifecycle.JobType}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a build that is over: %+v, %v", j, err)
		}
		synctest.Wait()
		if left, err := f.Acquirer().Count(f.t.Context(), queue.JobQuery{States: []queue.State{queue.Pending, queue.Running}}); err != nil || len(left.States) != 0 {
			t.Errorf("its job is left: %+v, %v", left, err)
		}
	})
}

// What somebody has seen is compared before anything is done.
func TestIfRevision(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		id := f.create("api").ID
		synctest.Wait() // the engine has looked at it, which is a change of its own
		ws, err := f.Get(f.t.Context(), id)
		f.must(err)
		after, err := f.SetTTL(f.t.Context(), ws.ID, time.Hour, dormouse.IfRevision(ws.Revision))
		f.must(err)
		if _, err := f.Start(f.t.Context(), ws.ID, dormouse.IfRevision(ws.Revision)); !errors.Is(err, dormouse.ErrChanged) {
			t.Errorf("with the revision before: %v", err)
		}
		f.want(ws.ID, lifecycle.StatusNew, 0)
		_, err = f.Start(f.t.Context(), ws.ID, dormouse.IfRevision(after.Revision))
		f.must(err)
	})
}

// A worker of another organization gets no build, whatever its identity says, and with a handout that it has got hold of it has no effect.
func TestRemoteOfAnotherOrganization(t *testing.T) {
	bubble(t, func(c *dormouse.Config) { c.Build, c.Organization = nil, uuid.New() }, func(f *fixture) {
		ws := f.create("api")
		_, err := f.Start(f.t.Context(), ws.ID)
		f.must(err)
		other, err := dormouse.New(f.store, dormouse.Config{Organization: uuid.New(), Logger: slog.New(slog.DiscardHandler)})
		f.must(err)
		running, stop := context.WithCancel(f.t.Context())
		ran := make(chan error, 1)
		go func() { ran <- other.Run(running) }()
		identity := acquirer.Identity{Organization: f.Organization(), Worker: uuid.New()}
		thief := other.Remote(identity)
		ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
		defer cancel()
		if j, err := thief.AcquireJob(ctx, queue.Request{Organization: f.Organization(), Types: []string{lifecycle.JobType}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it got %+v, %v", j, err)
		}
		own := f.Remote(identity)
		j, err := own.AcquireJob(f.t.Context(), queue.Request{Types: []string{lifecycle.JobType}})
		f.must(err)
		if _, err := thief.Renew(f.t.Context(), queue.Report{Handout: j.Handout()}); !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("a report: %v", err)
		}
		end := queue.End{Handout: j.Handout(), Outcome: queue.OutcomeSucceeded}
		if _, err := thief.End(f.t.Context(), end); !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("an end: %v", err)
		}
		f.want(ws.ID, lifecycle.StatusStarting, 1)
		_, err = own.End(f.t.Context(), end)
		f.must(err)
		f.want(ws.ID, lifecycle.StatusRunning, 1)
		stop()
		f.must(<-ran)
	})
}
