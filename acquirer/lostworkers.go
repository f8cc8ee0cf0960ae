package acquirer

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/leases"
)

// Lost says that the workers who hold these leases are gone for good: their machine has ended, say. Each job that is still
// held under its lease, here or in another process, is decided about at once by the policy for lost jobs (see
// [Config.Lost]), without waiting for silence. Leases that are no longer live are left alone. The reason is for people.
//
// It returns when the verdicts are sought, not when they are stored; the error is the store's, with which nothing was done,
// and the call may be repeated. A worker that is not gone after all loses its job: it hears so at its next report.
func (a *Acquirer) Lost(ctx context.Context, reason string, gone ...queue.Lease) error {
	held := make(map[queue.Lease]bool, len(gone))
	ids := make([]uuid.UUID, 0, len(gone))
	for _, l := range gone {
		if !held[l] {
			held[l] = true
			ids = append(ids, l.Job)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	asked := a.clock.Now()
	jobs, err := a.lookUp(ctx, "find jobs of lost workers", queue.Filter{IDs: ids})
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, job := range jobs {
		if job.State == queue.Running && held[job.Lease()] {
			// What was heard up to now is no sign of life: the caller knows better.
			a.book.Suspect(job, reason, asked.Add(time.Nanosecond), a.clock.Now())
		}
	}
	a.watchBook()
	return nil
}

// RunningJobs returns the running jobs that a function wants, whichever process holds them, in no particular order: those
// of some workers, or of a type. It waits for the first heartbeat, and asks the store once for each process that the last
// one has named.
func (a *Acquirer) RunningJobs(ctx context.Context, want func(Job) bool) ([]Job, error) {
	if err := a.awaitRegistered(ctx); err != nil {
		return nil, err
	}
	var found []Job
	for _, process := range a.holders() {
		jobs, err := a.lookUp(ctx, "find running jobs", queue.Filter{Process: process})
		if err != nil {
			return nil, err
		}
		for _, job := range jobs {
			if want(job) {
				found = append(found, job)
			}
		}
	}
	return found, nil
}

// holders are the processes that may hold jobs: all that the last heartbeat has named, and ourselves.
func (a *Acquirer) holders() []uuid.UUID {
	a.mu.Lock()
	defer a.mu.Unlock()
	ids := []uuid.UUID{a.member.process}
	for id := range a.fleet.watch.All {
		if id != a.member.process {
			ids = append(ids, id)
		}
	}
	return ids
}

// Process is who this acquirer is to the store. It changes if it was declared lost.
func (a *Acquirer) Process() uuid.UUID { return a.process() }

// Judge ends an attempt by the word of somebody who knows what became of its worker and has no handout for it: whoever runs
// the machines, after a restart. It counts whichever process holds the lease, and may be repeated. [queue.ErrLeaseLost] if
// the lease is not the live one.
func (a *Acquirer) Judge(ctx context.Context, lease queue.Lease, v Verdict) error {
	if err := v.validate(); err != nil {
		return err
	}
	answer, err := a.judgeHolder(ctx, lease, v)
	if err != nil {
		return err
	}
	a.mu.Lock()
	if a.book.Find(lease) != nil { // somebody here is to hear of it
		a.losses.compare = true
		a.losses.signal()
	}
	a.mu.Unlock()
	if !answer.Again && answer.Job.State.Final() {
		a.metrics.finished(answer.Job)
	}
	a.afterEnd(answer.Job)
	return nil
}

// judgeHolder ends an attempt in the name of the process that holds its lease, and of the next one where its worker has just
// reported to another.
func (a *Acquirer) judgeHolder(ctx context.Context, lease queue.Lease, v Verdict) (queue.Ended, error) {
	for holder := uuid.Nil; ; {
		job, err := a.findJob(ctx, lease.Job)
		switch {
		case err != nil:
			return queue.Ended{}, err
		case job.Lease() != lease || job.Process == holder:
			return queue.Ended{}, queue.ErrLeaseLost
		}
		holder = job.Process
		answer, err := a.ends.Do(ctx, v.end(leases.Doubt{Job: job}, a.now()))
		if err == nil {
			err = answer.Err
		}
		if !errors.Is(err, queue.ErrLeaseLost) {
			return answer, err
		}
	}
}
