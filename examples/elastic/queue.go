//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/dormouse-go/dormouse/workerpool"
)

// queue is a host's own queue in front of a pool: two methods.
type queue struct {
	mu    sync.Mutex
	jobs  map[workerpool.JobID]workerpool.Job
	owner map[workerpool.JobID]workerpool.InstanceID
	ended int
}

func newQueue() *queue {
	return &queue{jobs: make(map[workerpool.JobID]workerpool.Job), owner: make(map[workerpool.JobID]workerpool.InstanceID)}
}

func (q *queue) post(jobs ...workerpool.Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range jobs {
		q.jobs[j.ID] = j
	}
}

// Jobs implements [workerpool.Queue].
func (q *queue) Jobs(context.Context) ([]workerpool.Job, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := make([]workerpool.Job, 0, len(q.jobs))
	for _, j := range q.jobs {
		list = append(list, j)
	}
	return list, nil
}

// Record implements [workerpool.Queue].
func (q *queue) Record(_ context.Context, r workerpool.Record) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	j, ok := q.jobs[r.Job]
	switch {
	case r.Kind == workerpool.Claimed && (!ok || j.State != workerpool.JobWaiting && q.owner[r.Job] != r.Worker):
		return fmt.Errorf("job %s is not to be had", r.Job)
	case !ok: // told twice
		return nil
	case r.Kind == workerpool.Claimed:
		j.State = workerpool.JobAssigned
		q.jobs[r.Job], q.owner[r.Job] = j, r.Worker
	case r.Kind == workerpool.Ended:
		delete(q.jobs, r.Job)
		q.ended++
	default: // lost, not started, released: it waits again
		j.State = workerpool.JobWaiting
		q.jobs[r.Job] = j
	}
	return nil
}

// counts returns the jobs that wait, that are on a worker, and that have ended.
func (q *queue) counts() (waiting, assigned, ended int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range q.jobs {
		if j.State == workerpool.JobWaiting {
			waiting++
		} else {
			assigned++
		}
	}
	return waiting, assigned, q.ended
}
