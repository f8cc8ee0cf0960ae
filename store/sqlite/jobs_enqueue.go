package sqlite

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Enqueue implements [queue.Queue].
func (s *Store) Enqueue(ctx context.Context, now time.Time, postings []queue.Posting) (jobs []queue.Job, err error) {
	if len(postings) == 0 {
		return nil, ctx.Err()
	}
	made := make([]queue.Job, len(postings))
	for i := range postings {
		if made[i], err = postings[i].Job(now); err != nil {
			return nil, err
		}
	}
	err = s.write(ctx, func(t *tx) error {
		jobs, err = t.insertJobs(now, made)
		return err
	})
	if err != nil {
		return nil, unavailable(err, "enqueue %d jobs", len(postings))
	}
	return jobs, nil
}

// insertJobs stores jobs at the end of their tenants' lines, and returns them as stored: one whose id is known is not
// touched.
func (t *tx) insertJobs(now time.Time, jobs []queue.Job) ([]queue.Job, error) {
	turns, err := t.turns(jobs)
	if err != nil {
		return nil, err
	}
	err = insertJob.each(len(jobs), func(statement string, from, to int) error {
		if some := jobs[from:to]; len(some) > 1 {
			if done, err := t.insertTogether(now, turns, statement, some); done || err != nil {
				return err
			}
		}
		return t.insertEach(now, turns, jobs[from:to])
	})
	if err != nil {
		return nil, err
	}
	return jobs, turns.save()
}

var insertJob = newMany(`
INSERT INTO {jobs} (id, state, organization_id, lane, line, tenant_id, weight, payload, trace, created_at, ready_at) VALUES %s
ON CONFLICT (id) DO NOTHING`, 11)

// insertTogether inserts jobs of which none is known. If one is, nothing is done.
func (t *tx) insertTogether(now time.Time, turns *turns, statement string, jobs []queue.Job) (done bool, err error) {
	undo := turns.clone()
	args := make([]any, 0, 11*len(jobs))
	for i := range jobs {
		j := &jobs[i]
		// Made before the attempt: a lane stays, and is remembered, whatever becomes of the jobs.
		lane, err := t.makeLane(j.Lane())
		if err != nil {
			return false, err
		}
		j.Order = turns.order(j)
		turns.took(j)
		args = jobColumnsOf(args, now, j, lane)
	}
	done, err = t.attempt(func() (bool, error) {
		n, err := t.exec(statement, args...)
		return n == int64(len(jobs)), err
	})
	if !done {
		*turns = undo
	}
	return done, err
}

// insertEach inserts jobs of which some may be known.
func (t *tx) insertEach(now time.Time, turns *turns, jobs []queue.Job) error {
	for i := range jobs {
		j := &jobs[i]
		lane, err := t.makeLane(j.Lane())
		if err != nil {
			return err
		}
		j.Order = turns.order(j)
		n, err := t.exec(insertJob[len(insertJob)-1], jobColumnsOf(nil, now, j, lane)...)
		switch {
		case err != nil:
			return err
		case n == 1:
			turns.took(j)
		default:
			if *j, _, err = t.job(j.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// jobColumnsOf appends the columns of a new job.
func jobColumnsOf(args []any, now time.Time, j *queue.Job, lane int64) []any {
	return append(args,
		blob(j.ID), pendingState(j.ReadyAt, now), blob(j.Organization), lane, j.Order, blob(j.Tenant), int64(j.Weight),
		nullable(j.Payload), j.Trace, micros(j.CreatedAt), micros(j.ReadyAt))
}

func pendingState(readyAt, now time.Time) int64 {
	if readyAt.After(now) {
		return stateDelayed
	}
	return stateReady
}
