package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// enqueueSQL has the parameters of enqueueColumns; testdata/enqueue.sql shows it as a whole.
var enqueueSQL = `
	WITH wanted AS (
		SELECT j.* FROM ` + enqueueColumns.rows(1, "j", "n") + `
		WHERE NOT EXISTS (SELECT FROM dormouse.jobs x WHERE x.id = j.id)
	)` + turnSQL + insertJobsSQL + `
	RETURNING` + jobColumns

var jobsByIDSQL = `SELECT` + jobColumns + ` FROM dormouse.jobs j WHERE j.id = ANY ($1)`

// Enqueue implements [queue.Queue].
func (s *Store) Enqueue(ctx context.Context, now time.Time, postings []queue.Posting) ([]queue.Job, error) {
	if len(postings) == 0 {
		return nil, ctx.Err()
	}
	rows := make([]queue.Job, len(postings))
	var fresh []jobToQueue
	seen := make(map[uuid.UUID]bool, len(postings))
	for i, p := range postings {
		row, err := p.Job(now)
		if err != nil {
			return nil, fmt.Errorf("enqueue: posting %d: %w", i, err)
		}
		rows[i] = row
		if !seen[row.ID] {
			seen[row.ID] = true
			fresh = append(fresh, jobToQueue{Job: row})
		}
	}
	if err := s.numberTags(ctx, fresh); err != nil {
		return nil, fmt.Errorf("enqueue: %w", err)
	}
	jobs, err := s.queryJobs(ctx, repeatable, enqueueSQL, enqueueColumns.args(fresh)...)
	if err != nil {
		return nil, fmt.Errorf("enqueue %d jobs: %w", len(postings), err)
	}
	return s.enqueued(ctx, rows, byID(jobs))
}

// enqueued returns the jobs in the order of the postings; those that were stored before are read.
func (s *Store) enqueued(ctx context.Context, rows []queue.Job, inserted map[uuid.UUID]queue.Job) ([]queue.Job, error) {
	var old []key
	for i := range rows {
		if _, ok := inserted[rows[i].ID]; !ok {
			old = append(old, key(rows[i].ID))
		}
	}
	if len(old) > 0 {
		found, err := s.queryJobs(ctx, repeatable, jobsByIDSQL, old)
		if err != nil {
			return nil, fmt.Errorf("read jobs that were enqueued before: %w", err)
		}
		for _, j := range found {
			inserted[j.ID] = j
		}
	}
	out := make([]queue.Job, len(rows))
	for i := range rows {
		out[i] = inserted[rows[i].ID].Clone()
	}
	return out, nil
}
