package sqlite

import (
	"context"
	"fmt"
	"slices"
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
			return nil, fmt.Errorf("enqueue: posting %d: %w", i, err)
		}
	}
	insert := func(do func(*tx, time.Time, []queue.Job) ([]queue.Job, error)) error {
		return s.write(ctx, func(t *tx) (err error) {
			jobs, err = do(t, now, slices.Clone(made)) // which are replaced by those that are there
			return err
		})
	}
	if err = insert((*tx).insertJobs); rejects(err) {
		err = insert((*tx).insertOneByOne)
	}
	if err != nil {
		return nil, unavailable(err, "enqueue jobs (%d)", len(postings))
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

// insertOneByOne is insertJobs, and its error names the job that is refused.
func (t *tx) insertOneByOne(now time.Time, jobs []queue.Job) ([]queue.Job, error) {
	turns, err := t.turns(jobs)
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		id := jobs[i].ID
		if err := t.insertEach(now, turns, jobs[i:i+1]); err != nil {
			return nil, fmt.Errorf("posting %d, job %s: %w", i, id, err)
		}
	}
	return jobs, turns.save()
}

// newJob is a job on its way to the queue, with the number of its lane.
type newJob struct {
	*queue.Job
	lane int64
	now  time.Time
}

var newJobColumns = columns[newJob]{
	{"id", func(j *newJob) any { return blob(j.ID) }},
	{"state", func(j *newJob) any { return pendingState(j.ReadyAt, j.now) }},
	{"organization_id", func(j *newJob) any { return blob(j.Organization) }},
	{"lane", func(j *newJob) any { return j.lane }},
	{"line", func(j *newJob) any { return j.Order }},
	{"tenant_id", func(j *newJob) any { return blob(j.Tenant) }},
	{"weight", func(j *newJob) any { return int64(j.Weight) }},
	{"payload", func(j *newJob) any { return nullable(j.Payload) }},
	{"trace", func(j *newJob) any { return j.Trace }},
	{"unique_key", func(j *newJob) any { return uniqueKey(j.Job) }},
	{"run_limit", func(j *newJob) any { return int64(j.RunLimit) }},
	{"created_at", func(j *newJob) any { return micros(j.CreatedAt) }},
	{"ready_at", func(j *newJob) any { return micros(j.ReadyAt) }},
}

var insertJob = newMany(`
INSERT INTO {jobs} (`+newJobColumns.names("")+`) VALUES %s
ON CONFLICT DO NOTHING`, len(newJobColumns))

// insertTogether inserts jobs of which none is known. If one is, nothing is done.
func (t *tx) insertTogether(now time.Time, turns *turns, statement string, jobs []queue.Job) (done bool, err error) {
	undo := turns.clone()
	args := make([]any, 0, len(newJobColumns)*len(jobs))
	for i := range jobs {
		j := &jobs[i]
		// Made before the attempt: a lane stays, and is remembered, whatever becomes of the jobs.
		lane, err := t.makeLane(j.Lane())
		if err != nil {
			return false, err
		}
		j.Order = turns.order(j)
		turns.took(j)
		args = newJobColumns.args(args, &newJob{j, lane, now})
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
		n, err := t.exec(insertJob[len(insertJob)-1], newJobColumns.args(nil, &newJob{j, lane, now})...)
		switch {
		case err != nil:
			return err
		case n == 1:
			turns.took(j)
		default:
			if *j, err = t.duplicated(j); err != nil {
				return err
			}
		}
	}
	return nil
}

var jobByUnique = `SELECT` + jobColumns + `FROM {jobs} WHERE organization_id = ? AND unique_key = ? AND state < 3`

// duplicated is the job that is there instead of a new one: that of its id, or of its unique key.
func (t *tx) duplicated(j *queue.Job) (queue.Job, error) {
	known, ok, err := t.job(j.ID)
	if err != nil || ok {
		known.Duplicate = true
		return known, err
	}
	found, err := t.jobs(jobByUnique, blob(j.Organization), uniqueKey(j))
	if err != nil {
		return queue.Job{}, err
	}
	if len(found) == 0 {
		return queue.Job{}, errNotWritten
	}
	found[0].Duplicate = true
	return found[0], nil
}

func pendingState(readyAt, now time.Time) int64 {
	if readyAt.After(now) {
		return stateDelayed
	}
	return stateReady
}
