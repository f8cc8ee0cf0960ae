package workerpooltest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/workerpool"
)

// Queue is a [workerpool.Queue] in memory. A job that was lost, not started or released waits again.
type Queue struct {
	clock quartz.Clock

	mu         sync.Mutex
	jobs       map[workerpool.JobID]*queued
	order      []workerpool.JobID
	records    []workerpool.Record
	violations []string

	jobsError, recordError error
	delay                  time.Duration
}

type queued struct {
	workerpool.Job
	worker  workerpool.InstanceID
	ended   bool
	exit    int
	claimed int
	endedAt time.Time
}

// NewQueue returns an empty queue. The clock may be nil: then it is the real one, or the bubble's.
func NewQueue(clock quartz.Clock) *Queue {
	if clock == nil {
		clock = quartz.NewReal()
	}
	return &Queue{clock: clock, jobs: make(map[workerpool.JobID]*queued)}
}

// Add adds jobs; those without an instant wait since now.
func (q *Queue) Add(jobs ...workerpool.Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range jobs {
		if j.Since.IsZero() {
			j.Since = q.clock.Now()
		}
		q.jobs[j.ID] = &queued{Job: j}
		q.order = append(q.order, j.ID)
	}
}

// Fail lets the reading of jobs, or the records, fail; nil ends that.
func (q *Queue) Fail(jobs, record error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobsError, q.recordError = jobs, record
}

// Delay lets every call take a time.
func (q *Queue) Delay(d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.delay = d
}

// SetState changes a job from outside.
func (q *Queue) SetState(id workerpool.JobID, s workerpool.JobState) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs[id].State = s
}

// Remove takes jobs out.
func (q *Queue) Remove(ids ...workerpool.JobID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		delete(q.jobs, id)
	}
	q.order = slices.DeleteFunc(q.order, func(id workerpool.JobID) bool { return q.jobs[id] == nil })
}

// Count returns the jobs that wait, that are assigned, and that have ended.
func (q *Queue) Count() (waiting, assigned, ended int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range q.jobs {
		switch {
		case j.ended:
			ended++
		case j.State == workerpool.JobAssigned:
			assigned++
		case j.State == workerpool.JobWaiting:
			waiting++
		}
	}
	return waiting, assigned, ended
}

// State returns a job's state and worker, how often it was claimed, and its exit code if it has ended.
func (q *Queue) State(id workerpool.JobID) (state workerpool.JobState, worker workerpool.InstanceID, claimed int, exit int, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	j := q.jobs[id]
	if j == nil {
		return 0, "", 0, 0, false
	}
	return j.State, j.worker, j.claimed, j.exit, j.ended
}

// Records returns all records, refused ones excepted, in their order.
func (q *Queue) Records() []workerpool.Record {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.records)
}

// Violations lists what must never happen: the end of a job on a worker that does not have it.
func (q *Queue) Violations() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.violations)
}

func (q *Queue) wait(ctx context.Context) error {
	q.mu.Lock()
	d := q.delay
	q.mu.Unlock()
	if d <= 0 {
		return ctx.Err()
	}
	timer := q.clock.NewTimer(d, "workerpooltest")
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Jobs implements [workerpool.Queue]. It shows what is there when the call begins.
func (q *Queue) Jobs(ctx context.Context) ([]workerpool.Job, error) {
	q.mu.Lock()
	err := q.jobsError
	var list []workerpool.Job
	for _, id := range q.order {
		if j := q.jobs[id]; !j.ended {
			list = append(list, j.Job)
		}
	}
	q.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return list, q.wait(ctx)
}

// Record implements [workerpool.Queue].
func (q *Queue) Record(ctx context.Context, r workerpool.Record) error {
	if err := q.wait(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.recordError != nil {
		return q.recordError
	}
	j := q.jobs[r.Job]
	if j == nil {
		if r.Kind == workerpool.Claimed {
			return fmt.Errorf("no job %s", r.Job)
		}
		q.records = append(q.records, r)
		return nil
	}
	if r.Kind == workerpool.Claimed {
		if j.ended || j.State == workerpool.JobCanceled || j.State == workerpool.JobAssigned && j.worker != r.Worker {
			return fmt.Errorf("job %s is not to be had", r.Job)
		}
		j.State, j.worker = workerpool.JobAssigned, r.Worker
		j.claimed++
		q.records = append(q.records, r)
		return nil
	}
	q.records = append(q.records, r)
	if j.ended {
		return nil // told twice
	}
	if r.Kind != workerpool.Released && j.worker != r.Worker {
		q.violations = append(q.violations, fmt.Sprintf("job %s is on %q, but %s on %s", r.Job, j.worker, r.Kind, r.Worker))
		return nil
	}
	if r.Kind == workerpool.Ended {
		j.ended, j.exit, j.endedAt = true, r.ExitCode, r.At
		return nil
	}
	if j.State == workerpool.JobCanceled {
		j.ended = true
		return nil
	}
	j.State, j.worker = workerpool.JobWaiting, ""
	return nil
}
