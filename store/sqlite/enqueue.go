package sqlite

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
)

// Enqueue implements [acquirer.Queue].
func (s *Store) Enqueue(ctx context.Context, now time.Time, postings []acquirer.Posting) (jobs []acquirer.Job, err error) {
	if len(postings) == 0 {
		return nil, ctx.Err()
	}
	made := make([]acquirer.Job, len(postings))
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
func (t *tx) insertJobs(now time.Time, jobs []acquirer.Job) ([]acquirer.Job, error) {
	turns, err := t.turns(jobs)
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		j := &jobs[i]
		order := turns.order(j)
		inserted, err := t.insertJob(now, j, order)
		switch {
		case err != nil:
			return nil, err
		case inserted:
			j.Order = order
			turns.took(j)
		default:
			if *j, _, err = t.job(j.ID); err != nil {
				return nil, err
			}
		}
	}
	return jobs, turns.save()
}

func (t *tx) insertJob(now time.Time, j *acquirer.Job, order int64) (inserted bool, err error) {
	lane, err := t.makeLane(j.Lane())
	if err != nil {
		return false, err
	}
	n, err := t.exec(`
		INSERT INTO {jobs} (id, state, organization_id, lane, line, tenant_id, weight, payload, trace, created_at, ready_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		blob(j.ID), pendingState(j.ReadyAt, now), blob(j.Organization), lane, order, blob(j.Tenant), int64(j.Weight),
		nullable(j.Payload), j.Trace, micros(j.CreatedAt), micros(j.ReadyAt))
	return n == 1, err
}

func pendingState(readyAt, now time.Time) int64 {
	if readyAt.After(now) {
		return stateDelayed
	}
	return stateReady
}
