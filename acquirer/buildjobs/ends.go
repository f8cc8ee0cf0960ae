package buildjobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Settle ends the build of a workspace whose job is over in the queue. It does nothing for a job that is not over, or not of
// a build, or whose build has ended.
func Settle(ctx context.Context, u Updater, j queue.Job) error {
	if !j.State.Final() || j.Type != lifecycle.JobType {
		return nil
	}
	b, err := BuildOf(j)
	if err != nil {
		return err
	}
	return settle(ctx, u, b.WorkspaceID, j)
}

// settle ends the build of a job that is over.
func settle(ctx context.Context, u Updater, workspace uuid.UUID, j queue.Job) error {
	r := lifecycle.JobResult{BuildID: j.ID, Status: lifecycle.JobFailed, CompletedAt: j.EndedAt, Message: j.Error}
	switch j.State {
	case queue.Succeeded:
		r.Status, r.Result = lifecycle.JobSucceeded, string(j.Result)
	case queue.Canceled:
		r.Status = lifecycle.JobCanceled
	}
	if _, err := u.Update(ctx, workspace, own(j, lifecycle.JobEnded(r))); err != nil && !over(err) {
		return fmt.Errorf("end build %s of workspace %s: %w", j.ID, workspace, err)
	}
	return nil
}

// Ends ends the builds whose jobs ended without a handler. Its zero value is ready; give its Event to acquirer.Config.Events
// and run it.
type Ends struct {
	mu     sync.Mutex
	jobs   []queue.Job
	filled chan struct{}
	ran    bool
}

// ErrAlreadyRun is returned by the second call of [Ends.Run].
var ErrAlreadyRun = errors.New("buildjobs: Run was called before")

// Event takes an event of the acquirer. It does not block.
func (e *Ends) Event(ev queue.Event) {
	if !ev.Job.State.Final() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.jobs = append(e.jobs, ev.Job)
	select {
	case e.signal() <- struct{}{}:
	default:
	}
}

// signal returns the channel that says there is something; the caller holds the lock.
func (e *Ends) signal() chan struct{} {
	if e.filled == nil {
		e.filled = make(chan struct{}, 1)
	}
	return e.filled
}

// Run ends builds until ctx ends, then those it was told of before, and returns nil. What it cannot end, because the store
// fails, is left to [Sweep]; the error is given to failed, if that is not nil. After ctx's end the first error ends Run. It may
// be called once; another call returns [ErrAlreadyRun].
func (e *Ends) Run(ctx context.Context, u Updater, failed func(error)) error {
	filled, err := e.begin()
	if err != nil {
		return err
	}
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
		case <-filled:
		}
		ended = ctx.Err() != nil // before take: who wrote before ctx's end is heard
		for _, j := range e.take() {
			err := Settle(context.WithoutCancel(ctx), u, j)
			if err != nil && failed != nil {
				failed(err)
			}
			if err != nil && ctx.Err() != nil {
				return nil
			}
		}
	}
	return nil
}

func (e *Ends) take() []queue.Job {
	e.mu.Lock()
	defer e.mu.Unlock()
	jobs := e.jobs
	e.jobs = nil
	return jobs
}

func (e *Ends) begin() (filled chan struct{}, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ran {
		return nil, ErrAlreadyRun
	}
	e.ran = true
	return e.signal(), nil
}

// Workspaces lists the workspaces of a store, as [lifecycle.Registry] does.
type Workspaces interface {
	List(ctx context.Context, q lifecycle.ListQuery) ([]lifecycle.Snapshot, error)
}

// Jobs reads the jobs of a store, as [queue.Inspector] does. It may be a [Canceler] too.
type Jobs interface {
	Jobs(ctx context.Context, f queue.Filter) ([]queue.Job, error)
}

// sweepPage is how many workspaces a sweep looks at in one read.
const sweepPage = 1000

// Sweep looks for builds that were made before an instant and are still active although their jobs are over or gone, and
// ends them. It reads the workspaces that are being built, and their jobs. If j is a [Canceler], the jobs of builds that are
// being canceled are canceled, for whoever died in the middle of [Cancel]. It returns how many builds it ended; what could not
// be ended is in the error, and kept nothing else from it.
func Sweep(ctx context.Context, u Updater, w Workspaces, j Jobs, before time.Time) (int, error) {
	q := lifecycle.ListQuery{Building: true, Limit: sweepPage}
	ended := 0
	var failed []error
	for page, err := range lifecycle.Pages(ctx, w, q) {
		if err != nil {
			return ended, errors.Join(append(failed, err)...)
		}
		n, err := sweep(ctx, u, j, page, before)
		if ended += n; err != nil {
			failed = append(failed, err)
		}
	}
	return ended, errors.Join(failed...)
}

func sweep(ctx context.Context, u Updater, source Jobs, page []lifecycle.Snapshot, before time.Time) (int, error) {
	active := map[uuid.UUID]*lifecycle.Snapshot{}
	var ids []uuid.UUID
	for i := range page {
		if b := &page[i].Build; b.Status.Active() && b.CreatedAt.Before(before) {
			active[b.ID] = &page[i]
			ids = append(ids, b.ID)
		}
	}
	if len(ids) == 0 {
		return 0, nil
	}
	jobs, err := source.Jobs(ctx, queue.Filter{IDs: ids})
	if err != nil {
		return 0, err
	}
	ended := 0
	failed := []error{cancelAgain(ctx, source, jobs, active)}
	count := func(err error) {
		if err != nil {
			failed = append(failed, err)
			return
		}
		ended++
	}
	for _, j := range jobs {
		if j.State.Final() {
			count(settle(ctx, u, active[j.ID].Workspace.ID, j))
		}
		delete(active, j.ID)
	}
	for _, s := range active {
		r := lifecycle.JobResult{BuildID: s.Build.ID, Status: lifecycle.JobFailed, Message: "its job is gone"}
		_, err := u.Update(ctx, s.Workspace.ID, lifecycle.JobEnded(r))
		count(err)
	}
	return ended, errors.Join(failed...)
}

func wrapped(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(doing+": %w", append(args, err)...)
}

// cancelAgain cancels the jobs that go on although their builds are being canceled.
func cancelAgain(ctx context.Context, source Jobs, jobs []queue.Job, builds map[uuid.UUID]*lifecycle.Snapshot) error {
	var ids []uuid.UUID
	for _, j := range jobs {
		if builds[j.ID].Build.Status == lifecycle.JobCanceling && j.CancelAt.IsZero() && !j.State.Final() {
			ids = append(ids, j.ID)
		}
	}
	c, ok := source.(Canceler)
	if !ok || len(ids) == 0 {
		return nil
	}
	_, err := c.Cancel(ctx, "canceled", ids...)
	if err == nil || ctx.Err() != nil || errors.Is(err, lifecycle.ErrUnavailable) {
		return wrapped(err, "cancel the jobs of builds (%d)", len(ids))
	}
	var failed []error
	for _, id := range ids { // together they are canceled all or none, and one is refused
		_, err := c.Cancel(ctx, "canceled", id)
		failed = append(failed, wrapped(err, "cancel the job of build %s", id))
	}
	return errors.Join(failed...)
}
