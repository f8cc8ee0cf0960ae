package buildjobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Updater applies verbs to workspaces. A *executor.Executor is one.
type Updater interface {
	Update(ctx context.Context, workspace uuid.UUID, v lifecycle.Verb) (lifecycle.Snapshot, error)
}

// Build carries out one build. Its error fails the build, unless it comes from [worker.Retry]: then the job goes back into
// line and the build goes on when it is handed out again. See [worker.Handler] for the context's end.
type Build func(ctx context.Context, t *worker.Task, b lifecycle.Job) error

// Config tunes a [Handler]. The zero value works.
type Config struct {
	// Patience is how long to try to write the end of a build while the store fails; after that only the queue knows it, and
	// [Sweep] writes it. Defaults to 1 minute.
	Patience time.Duration
	// Result says what a build that has succeeded made; it is kept with the build. Defaults to nil: nothing is kept.
	Result func(t *worker.Task) string
	// Clock defaults to the real one.
	Clock quartz.Clock
}

// pause is the time between two attempts to write a build's end, and before a job that could not begin is handed out again.
const pause = 2 * time.Second

// Handler returns the handler for jobs of type [lifecycle.JobType]: it writes to the workspace that its build began, runs
// it, and writes how it ended. A job whose build is over already ends quietly.
func Handler(u Updater, build Build, cfg Config) worker.Handler {
	if cfg.Patience == 0 {
		cfg.Patience = time.Minute
	}
	if cfg.Clock == nil {
		cfg.Clock = quartz.NewReal()
	}
	h := &handler{u, build, cfg}
	return h.handle
}

type handler struct {
	u     Updater
	build Build
	cfg   Config
}

func (h *handler) handle(ctx context.Context, t *worker.Task) ([]byte, error) {
	b, err := BuildOf(t.Job)
	if err != nil {
		return nil, err
	}
	s, err := h.u.Update(ctx, b.WorkspaceID, own(t.Job, lifecycle.JobStarted(t.Job.ID)))
	switch {
	case over(err):
		t.Logf("build %s is over: %v", t.Job.ID, err)
		return nil, nil
	case err != nil:
		return nil, worker.Retry(pause, fmt.Errorf("begin build %s: %w", t.Job.ID, err))
	}
	b = believed(t.Job, b, &s)
	err = h.run(ctx, t, b)
	r, ended := result(ctx, b, err)
	if !ended {
		return nil, err
	}
	if r.Status == lifecycle.JobSucceeded && h.cfg.Result != nil {
		r.Result = h.cfg.Result(t)
	}
	if failed := h.end(ctx, t.Job, b, r); failed != nil {
		t.Logf("%v; left to a sweep", failed) // the queue keeps how it ended
	}
	return nil, err
}

// run turns a panic into an error, so that it reaches the workspace too.
func (h *handler) run(ctx context.Context, t *worker.Task, b lifecycle.Job) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("build %d panicked: %v", b.BuildNumber, v)
		}
	}()
	return h.build(ctx, t, b)
}

// result says how a build ended; ended is false if it is to go on elsewhere.
func result(ctx context.Context, b lifecycle.Job, err error) (r lifecycle.JobResult, ended bool) {
	r = lifecycle.JobResult{BuildID: b.ID, Status: lifecycle.JobSucceeded}
	if err == nil {
		return r, true
	}
	r.Status, r.Message = lifecycle.JobFailed, err.Error()
	cause := context.Cause(ctx)
	var again *worker.RetryError
	switch {
	case errors.Is(cause, queue.ErrJobCanceled):
		r.Status = lifecycle.JobCanceled
	case errors.Is(cause, queue.ErrTimeout) && !errors.As(err, &again):
		r.Message = fmt.Sprintf("%v: %v", cause, err)
	case ctx.Err() != nil, errors.As(err, &again):
		return r, false
	}
	return r, true
}

// end writes the end of a build. The end of ctx does not cut it short: what was built has to be known.
func (h *handler) end(ctx context.Context, j queue.Job, b lifecycle.Job, r lifecycle.JobResult) error {
	ctx = context.WithoutCancel(ctx)
	r.CompletedAt = h.cfg.Clock.Now("buildjobs", "ended")
	for {
		_, err := h.u.Update(ctx, b.WorkspaceID, own(j, lifecycle.JobEnded(r)))
		if err == nil || over(err) {
			return nil
		}
		if h.cfg.Clock.Since(r.CompletedAt, "buildjobs", "patience") >= h.cfg.Patience {
			return fmt.Errorf("end build %d: %w", b.BuildNumber, err)
		}
		timer := h.cfg.Clock.NewTimer(pause, "buildjobs", "end")
		<-timer.C
	}
}

// Begin writes to the workspace that the build of a job began, for whoever hands it to a worker without a [Handler]. isOver says
// that the build has ended already, and the job need not be done. A job that is none of a build is an error.
func Begin(ctx context.Context, u Updater, j queue.Job) (isOver bool, err error) {
	b, err := BuildOf(j)
	if err != nil {
		return false, err
	}
	_, err = u.Update(ctx, b.WorkspaceID, own(j, lifecycle.JobStarted(j.ID)))
	if over(err) {
		return true, nil
	}
	return false, err
}

// over reports whether an error of an update says that the build has ended already.
func over(err error) bool {
	return errors.Is(err, lifecycle.ErrStaleBuild) || errors.Is(err, lifecycle.ErrNotFound)
}
