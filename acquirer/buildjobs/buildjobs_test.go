package buildjobs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/memory"
)

// plane is a control plane of one process, in a bubble of time: engine, queue and a worker over one store.
type plane struct {
	*testing.T
	store  *memory.Store
	engine *executor.Executor
	queue  *acquirer.Acquirer
	ends   buildjobs.Ends
	ws     uuid.UUID
	ctx    context.Context
}

func run(t *testing.T, build buildjobs.Build, cfg acquirer.Config, test func(p *plane)) {
	synctest.Test(t, func(t *testing.T) {
		p := &plane{T: t, store: memory.New()}
		ctx, cancel := context.WithCancel(t.Context())
		p.ctx = ctx
		cfg.Events = p.ends.Event
		var err error
		p.queue, err = acquirer.New(p.store, nil, cfg)
		p.must(err)
		p.engine, err = executor.New(p.store, executor.Config{Queued: buildjobs.Announce(p.queue), Logger: slog.New(slog.DiscardHandler)})
		p.must(err)
		p.create()
		var wg sync.WaitGroup
		wg.Go(func() { _ = p.queue.Run(ctx) })
		wg.Go(func() { _ = p.ends.Run(ctx, p.engine, func(err error) { t.Error(err) }) })
		if build != nil {
			w, err := worker.New(p.queue, buildjobs.Handler(p.engine, build, buildjobs.Config{}), worker.Config{
				Types: []string{lifecycle.JobType}, Drain: time.Second,
			})
			p.must(err)
			wg.Go(func() { _ = w.Run(ctx) })
		}
		test(p)
		cancel()
		wg.Wait()
	})
}

func (p *plane) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// create makes a workspace with a TTL of an hour.
func (p *plane) create() {
	now := time.Now()
	tm := lifecycle.Template{ID: uuid.New(), ActiveVersionID: uuid.New(), Policy: lifecycle.Policy{
		DefaultTTL: time.Hour, AllowUserTTL: true, AllowUserAutostart: true, AutostartDays: schedule.AllDays,
	}}
	o := lifecycle.Owner{ID: uuid.New()}
	p.must(p.store.PutTemplate(p.ctx, now, tm))
	p.must(p.store.PutOwner(p.ctx, now, o))
	p.ws = uuid.New()
	p.must(p.store.CreateWorkspaces(p.ctx, now, lifecycle.NewWorkspace(p.ws, tm, o.ID, "dev", now)))
}

func (p *plane) start() {
	p.Helper()
	_, err := p.engine.Update(p.ctx, p.ws, lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil))
	p.must(err)
}

func (p *plane) build() lifecycle.Build {
	p.Helper()
	s, err := p.engine.Load(p.ctx, p.ws)
	p.must(err)
	return s.Build
}

func (p *plane) job() queue.Job {
	p.Helper()
	jobs, err := p.store.Jobs(p.ctx, queue.Filter{IDs: []uuid.UUID{p.build().ID}})
	p.must(err)
	if len(jobs) != 1 {
		p.Fatalf("%d jobs of the build", len(jobs))
	}
	return jobs[0]
}

func (p *plane) want(build lifecycle.JobStatus, job queue.State) {
	p.Helper()
	if b, j := p.build(), p.job(); b.Status != build || j.State != job {
		p.Errorf("build is %v, job is %v (%s); want %v, %v", b.Status, j.State, j.Error, build, job)
	}
}

// A workspace from row to build, job, worker, completion and next wake, twice round.
func TestFromRowToNextWake(t *testing.T) {
	builds := 0
	run(t, func(_ context.Context, task *worker.Task, b lifecycle.Job) error {
		builds++
		task.Progress(50, b.Transition.String())
		time.Sleep(time.Minute)
		return nil
	}, acquirer.Config{}, func(p *plane) {
		p.start()
		synctest.Wait()
		p.want(lifecycle.JobRunning, queue.Running)
		time.Sleep(time.Minute)
		synctest.Wait()
		p.want(lifecycle.JobSucceeded, queue.Succeeded)
		s, err := p.engine.Load(p.ctx, p.ws)
		p.must(err)
		deadline := s.Build.CompletedAt.Add(time.Hour)
		if !s.Build.Deadline.Equal(deadline) || !s.Workspace.WakeAt.Equal(deadline) {
			p.Errorf("deadline %v, wake %v; want %v", s.Build.Deadline, s.Workspace.WakeAt, deadline)
		}
		time.Sleep(time.Until(deadline) + time.Minute)
		stats := p.engine.Tick(p.ctx, time.Now())
		if stats.Transitions[p.ws] != lifecycle.TransitionStop {
			p.Errorf("at the deadline: %+v", stats)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		p.want(lifecycle.JobSucceeded, queue.Succeeded)
		if b := p.build(); b.Number != 2 || b.Transition != lifecycle.TransitionStop || builds != 2 {
			p.Errorf("build %+v after %d builds", b, builds)
		}
	})
}

func TestBuildsThatFail(t *testing.T) {
	for name, build := range map[string]buildjobs.Build{
		"error": func(context.Context, *worker.Task, lifecycle.Job) error { return errors.New("disk is full") },
		"panic": func(context.Context, *worker.Task, lifecycle.Job) error { panic("disk is full") },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, build, acquirer.Config{}, func(p *plane) {
				p.start()
				synctest.Wait()
				p.want(lifecycle.JobFailed, queue.Failed)
			})
		})
	}
}

// A build that asks to be tried again goes on in the same build.
func TestBuildThatIsTriedAgain(t *testing.T) {
	tries := 0
	run(t, func(context.Context, *worker.Task, lifecycle.Job) error {
		if tries++; tries == 1 {
			return worker.Retry(time.Minute, errors.New("no capacity"))
		}
		return nil
	}, acquirer.Config{}, func(p *plane) {
		p.start()
		synctest.Wait()
		p.want(lifecycle.JobRunning, queue.Pending)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		p.want(lifecycle.JobSucceeded, queue.Succeeded)
		if p.build().Number != 1 || tries != 2 {
			p.Errorf("build %d after %d tries", p.build().Number, tries)
		}
	})
}

func TestCancel(t *testing.T) {
	run(t, func(ctx context.Context, _ *worker.Task, _ lifecycle.Job) error {
		<-ctx.Done()
		return ctx.Err()
	}, acquirer.Config{}, func(p *plane) {
		p.start()
		synctest.Wait()
		p.must(buildjobs.Cancel(p.ctx, p.engine, p.queue, p.ws, 1, "changed my mind"))
		if s := p.build().Status; s != lifecycle.JobCanceling && s != lifecycle.JobCanceled {
			p.Errorf("build is %v", s)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		p.want(lifecycle.JobCanceled, queue.Canceled)
	})
}

// A build that was canceled before anybody took it ends without being run.
func TestBuildThatIsOver(t *testing.T) {
	ran := false
	run(t, func(context.Context, *worker.Task, lifecycle.Job) error { ran = true; return nil }, acquirer.Config{}, func(p *plane) {
		// The workspace knows, the queue does not yet.
		p.must(func() error {
			s, err := p.engine.Load(p.ctx, p.ws)
			if err != nil {
				return err
			}
			now := time.Now().UTC().Truncate(time.Microsecond)
			c, err := lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)(s, now)
			if err != nil {
				return err
			}
			c.Build.ID = uuid.New()
			c.Job = &lifecycle.Job{ID: c.Build.ID, WorkspaceID: p.ws, OwnerID: s.Owner.ID, BuildNumber: 1, Transition: c.Build.Transition, CreatedAt: now}
			c.Build.Status, c.Build.CompletedAt = lifecycle.JobCanceled, now
			_, err = p.store.Commit(p.ctx, now, []lifecycle.Change{c})
			return err
		}())
		time.Sleep(time.Minute)
		synctest.Wait()
		p.want(lifecycle.JobCanceled, queue.Succeeded)
		if ran {
			p.Error("a build that is over was run")
		}
	})
}

// A job that ends in the queue, because nobody can ever run it, ends its build.
func TestJobThatExpires(t *testing.T) {
	run(t, nil, acquirer.Config{Expire: 10 * time.Minute}, func(p *plane) {
		p.start()
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		p.want(lifecycle.JobFailed, queue.Failed)
	})
}

// A sweep ends what everybody missed: a job that is over, and one that is gone.
func TestSweep(t *testing.T) {
	run(t, nil, acquirer.Config{}, func(p *plane) {
		p.start()
		_, err := p.queue.Cancel(p.ctx, "by hand", p.build().ID)
		p.must(err)
		p.want(lifecycle.JobPending, queue.Canceled)
		n, err := buildjobs.Sweep(p.ctx, p.engine, p.store, p.store, p.build().CreatedAt)
		if n != 0 || err != nil {
			p.Errorf("a young build is swept: %d, %v", n, err)
		}
		time.Sleep(time.Hour)
		n, err = buildjobs.Sweep(p.ctx, p.engine, p.store, p.store, time.Now())
		if n != 1 || err != nil {
			p.Errorf("swept %d, %v", n, err)
		}
		p.want(lifecycle.JobCanceled, queue.Canceled)

		p.start()
		time.Sleep(time.Hour)
		n, err = buildjobs.Sweep(p.ctx, p.engine, p.store, none{}, time.Now())
		if n != 1 || err != nil || p.build().Status != lifecycle.JobFailed {
			p.Errorf("swept %d, %v; build is %v", n, err, p.build().Status)
		}
	})
}

// Who dies in the middle of a cancellation leaves a build that is being canceled and a job that goes on.
func TestSweepCancels(t *testing.T) {
	build := func(ctx context.Context, _ *worker.Task, _ lifecycle.Job) error {
		<-ctx.Done()
		return ctx.Err()
	}
	run(t, build, acquirer.Config{}, func(p *plane) {
		p.start()
		time.Sleep(time.Minute)
		_, err := p.engine.Update(p.ctx, p.ws, lifecycle.CancelBuild(p.build().Number))
		p.must(err)
		time.Sleep(time.Hour)
		synctest.Wait()
		p.want(lifecycle.JobCanceling, queue.Running)
		source := struct {
			queue.Inspector
			buildjobs.Canceler
		}{p.store, p.queue}
		if n, err := buildjobs.Sweep(p.ctx, p.engine, p.store, source, time.Now()); n != 0 || err != nil {
			p.Errorf("swept %d, %v", n, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		p.want(lifecycle.JobCanceled, queue.Canceled)
	})
}

// canceling are workspaces whose builds are being canceled while their jobs go on, one of which the store does not cancel.
type canceling struct {
	all      []lifecycle.Snapshot
	kept     uuid.UUID
	why      error
	canceled []uuid.UUID
	// away is whether the store answers nothing any more, and asked how often it was asked then.
	away  bool
	asked int
}

func (c *canceling) List(context.Context, lifecycle.ListQuery) ([]lifecycle.Snapshot, error) {
	return c.all, nil
}

func (c *canceling) Jobs(_ context.Context, f queue.Filter) (jobs []queue.Job, err error) {
	if c.away {
		c.asked++
		return nil, lifecycle.ErrUnavailable
	}
	for _, id := range f.IDs {
		jobs = append(jobs, queue.Job{ID: id, State: queue.Running})
	}
	return jobs, nil
}

func (c *canceling) Cancel(_ context.Context, _ string, ids ...uuid.UUID) ([]queue.Job, error) {
	if c.away {
		c.asked++
		return nil, lifecycle.ErrUnavailable
	}
	if slices.Contains(ids, c.kept) {
		return nil, c.why
	}
	c.canceled = append(c.canceled, ids...)
	return nil, nil
}

func newCanceling(n int) (c *canceling, ids []uuid.UUID) {
	c = &canceling{}
	for range n {
		s := lifecycle.Snapshot{Workspace: lifecycle.Workspace{ID: uuid.New()}, Build: lifecycle.Build{ID: uuid.New(), Status: lifecycle.JobCanceling}}
		c.all, ids = append(c.all, s), append(ids, s.Build.ID)
	}
	return c, ids
}

// A job that cannot be canceled, because the store refuses it or somebody holds it, keeps no other of a sweep from it, and is in the error.
func TestSweepCancelsBesideAJobThatCannotBe(t *testing.T) {
	for name, why := range map[string]error{
		"refused": errors.New("kept by the host"),
		"held":    fmt.Errorf("%w: another session holds the row", lifecycle.ErrUnavailable),
	} {
		t.Run(name, func(t *testing.T) {
			for at := range 5 {
				c, ids := newCanceling(5)
				c.kept, c.why = ids[at], why
				n, err := buildjobs.Sweep(t.Context(), nil, c, c, time.Now())
				if n != 0 || !errors.Is(err, why) || !strings.Contains(err.Error(), c.kept.String()) || !slices.Equal(c.canceled, slices.Delete(ids, at, at+1)) {
					t.Errorf("swept %d, canceled %v beside %s: %v", n, c.canceled, c.kept, err)
				}
			}
		})
	}
}

// A sweep does not ask a store that is away about each job.
func TestSweepCancelsWhileTheStoreIsAway(t *testing.T) {
	c, _ := newCanceling(100)
	n, err := buildjobs.Sweep(t.Context(), nil, c, leaving{c}, time.Now())
	if n != 0 || !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), "(100)") || c.asked > 2 {
		t.Errorf("swept %d, asked %d times: %v", n, c.asked, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c, _ = newCanceling(100)
	n, err = buildjobs.Sweep(ctx, nil, c, canceledBy{c, cancel}, time.Now())
	if n != 0 || !errors.Is(err, context.Canceled) || len(c.canceled) > 0 {
		t.Errorf("swept %d and canceled %d after the end: %v", n, len(c.canceled), err)
	}
}

// leaving is away once it has answered what jobs there are.
type leaving struct{ *canceling }

func (l leaving) Jobs(ctx context.Context, f queue.Filter) ([]queue.Job, error) {
	defer func() { l.away = true }()
	return l.canceling.Jobs(ctx, f)
}

// canceledBy ends the context of whoever cancels.
type canceledBy struct {
	*canceling
	cancel func()
}

func (c canceledBy) Cancel(ctx context.Context, _ string, _ ...uuid.UUID) ([]queue.Job, error) {
	c.cancel()
	return nil, ctx.Err()
}

// none is a queue that has forgotten everything.
type none struct{}

func (none) Jobs(context.Context, queue.Filter) ([]queue.Job, error) { return nil, nil }

func TestEndsRunOnce(t *testing.T) {
	var ends buildjobs.Ends
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ends.Run(ctx, nil, nil); err != nil {
		t.Errorf("the first run ended with %v", err)
	}
	if err := ends.Run(ctx, nil, nil); !errors.Is(err, buildjobs.ErrAlreadyRun) {
		t.Errorf("a second run: %v", err)
	}
}
