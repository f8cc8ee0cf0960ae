package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Claim implements [queue.Queue]. Under the write lock nobody else claims, so what it reads stays true until it writes:
// it looks into each lane once, merges what it finds, and passes over what the limits stop. Where a constraint or a trigger of the host
// keeps a job from being started, it does the same again and passes over that job too: it would stand in front of all others.
func (s *Store) Claim(ctx context.Context, c queue.Claim) (claimed queue.Claimed, err error) {
	var passed refusals
	claim := func(start starter) error {
		return s.write(ctx, func(t *tx) error {
			passed = refusals{} // a transaction may be made again
			claimed, err = t.claim(&c, start)
			return err
		})
	}
	if err = claim((*tx).start); rejects(err) {
		err = claim(passed.start)
	}
	if passed.n > 0 {
		s.cfg.Logger.WarnContext(ctx, "sqlite: jobs cannot be handed out", "jobs", passed.n, "first", passed.first)
	}
	if err != nil {
		return queue.Claimed{}, unavailable(err, "claim jobs")
	}
	claimed.Refused = passed.jobs
	return claimed, nil
}

// starter starts a job for the i-th worker of a claim; ok is false if that cannot be.
type starter func(t *tx, c *queue.Claim, pick candidate, i int) (j queue.Job, ok bool, err error)

func (t *tx) claim(c *queue.Claim, start starter) (claimed queue.Claimed, err error) {
	alive, err := t.queryRow(`SELECT 1 FROM {processes} WHERE id = ? AND lost_at IS NULL`, []any{blob(c.Process)}, new(int))
	if err == nil && !alive {
		err = queue.ErrProcessLost
	}
	if err != nil || len(c.Workers) == 0 || len(c.Probes) == 0 {
		return claimed, err
	}
	p, err := t.newPicker(c)
	if err != nil {
		return claimed, err
	}
	floors := map[floorKey]int64{}
	for len(claimed.Jobs) < len(c.Workers) {
		pick, ok, err := p.next()
		if err != nil {
			return claimed, err
		}
		if !ok {
			break
		}
		job, ok, err := start(t, c, pick, len(claimed.Jobs))
		if err != nil {
			return claimed, err
		}
		if !ok {
			p.refused(pick)
			continue
		}
		key := floorKey{job.Organization, job.Priority}
		floors[key] = max(floors[key], job.Order)
		claimed.Jobs = append(claimed.Jobs, job)
	}
	claimed.Limited = p.limited
	return claimed, t.raiseFloors(floors)
}

var startJob = `
UPDATE {jobs} SET state = 2, started_at = ?, process_id = ?, worker_id = ?, token = ?, secret = ?,
	attempt = attempt + 1, fence = fence + 1, percent = 0, message = ''
WHERE id = ? RETURNING` + jobColumns

// start turns a ready job into a running one, for the i-th worker.
func (t *tx) start(c *queue.Claim, pick candidate, i int) (j queue.Job, ok bool, err error) {
	j, err = t.changed(startJob,
		micros(c.Now), blob(c.Process), blob(c.Workers[i]), blob(c.Token), secretBlob(c.SecretFor(i)), blob(pick.id))
	return j, err == nil, err
}

// start does the same and notes a job that is refused.
func (r *refusals) start(t *tx, c *queue.Claim, pick candidate, i int) (j queue.Job, ok bool, err error) {
	ok, err = t.attempt(func() (ok bool, err error) {
		if j, ok, err = t.start(c, pick, i); rejects(err) {
			r.addJob(pick.id, err)
		}
		return ok, err
	})
	return j, ok, err
}

func (t *tx) raiseFloors(floors map[floorKey]int64) error {
	for key, claimed := range floors {
		if _, err := t.exec(`
			INSERT INTO {floors} (organization_id, priority, claimed) VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET claimed = max(claimed, excluded.claimed)`,
			blob(key.organization), int64(key.priority), claimed); err != nil {
			return err
		}
	}
	return nil
}

// candidate is a ready job in its lane.
type candidate struct {
	id, tenant uuid.UUID
	line       int64
}
