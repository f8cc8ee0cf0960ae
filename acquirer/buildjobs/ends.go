package buildjobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
// being canceled are canceled at the end, for whoever died in the middle of [Cancel]. It returns how many builds it ended; what
// could not be ended or canceled is in the error, and kept nothing else from it, unless j does not answer any more.
func Sweep(ctx context.Context, u Updater, w Workspaces, j Jobs, before time.Time) (int, error) {
	s := sweep{updater: u, jobs: j, before: before}
	for page, err := range lifecycle.Pages(ctx, w, lifecycle.ListQuery{Building: true, Limit: sweepPage}) {
		if err != nil {
			s.fail(err)
			break
		}
		s.page(ctx, page)
	}
	for ids := range slices.Chunk(s.canceling, sweepPage) {
		s.cancel(ctx, ids)
	}
	return s.ended, errors.Join(s.failed...)
}

// sweep is what a sweep has come to.
type sweep struct {
	updater Updater
	jobs    Jobs
	before  time.Time

	ended  int
	failed []error
	// canceling are the jobs that go on although their builds are being canceled.
	canceling []uuid.UUID
}

func (s *sweep) fail(err error) {
	if err != nil {
		s.failed = append(s.failed, err)
	}
}

// count counts a build that was ended, or not.
func (s *sweep) count(err error) {
	if s.fail(err); err == nil {
		s.ended++
	}
}

// page ends the builds of a page of workspaces.
func (s *sweep) page(ctx context.Context, page []lifecycle.Snapshot) {
	active := map[uuid.UUID]*lifecycle.Snapshot{}
	var ids []uuid.UUID
	for i := range page {
		if b := &page[i].Build; b.Status.Active() && b.CreatedAt.Before(s.before) {
			active[b.ID] = &page[i]
			ids = append(ids, b.ID)
		}
	}
	if len(ids) == 0 {
		return
	}
	jobs, err := s.jobs.Jobs(ctx, queue.Filter{IDs: ids})
	if err != nil {
		s.fail(err)
		return
	}
	for _, j := range jobs {
		switch of := active[j.ID]; {
		case j.State.Final():
			s.count(settle(ctx, s.updater, of.Workspace.ID, j))
		case of.Build.Status == lifecycle.JobCanceling && j.CancelAt.IsZero():
			s.canceling = append(s.canceling, j.ID)
		}
		delete(active, j.ID)
	}
	for _, of := range active {
		r := lifecycle.JobResult{BuildID: of.Build.ID, Status: lifecycle.JobFailed, Message: "its job is gone"}
		_, err := s.updater.Update(ctx, of.Workspace.ID, lifecycle.JobEnded(r))
		s.count(err)
	}
}

// cancel cancels jobs. Together they are canceled all or none; where that fails each goes alone, because the store may refuse one, or
// somebody may hold it.
func (s *sweep) cancel(ctx context.Context, ids []uuid.UUID) {
	c, ok := s.jobs.(Canceler)
	if !ok {
		return
	}
	_, err := c.Cancel(ctx, "canceled", ids...)
	if err == nil {
		return
	}
	for i, id := range ids {
		if err != nil && !s.answers(ctx, id) {
			s.fail(fmt.Errorf("cancel the jobs of builds (%d): %w", len(ids)-i, err))
			return
		}
		if _, err = c.Cancel(ctx, "canceled", id); err != nil {
			s.fail(fmt.Errorf("cancel the job of build %s: %w", id, err))
		}
	}
}

// answers reports whether a job can be read after a call failed. That call's error does not say: a job that is held fails like a store
// that is away.
func (s *sweep) answers(ctx context.Context, id uuid.UUID) bool {
	_, err := s.jobs.Jobs(ctx, queue.Filter{IDs: []uuid.UUID{id}})
	return err == nil && ctx.Err() == nil
}
