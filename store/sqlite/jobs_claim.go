package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/refusal"
)

// Claim implements [queue.Queue]. Under the write lock nobody else claims, so what it reads stays true until it writes:
// it looks into each lane once, merges what it finds, and passes over what the limits stop. Where a constraint or a trigger of the host
// keeps a job from being started, it does the same again and passes over that job too, as do all claims of the next minute: it would stand
// in front of all others.
func (s *Store) Claim(ctx context.Context, c queue.Claim) (claimed queue.Claimed, err error) {
	passed := s.passedJobs(c.Now, c.Probes)
	err = s.write(ctx, func(t *tx) error {
		claimed, err = t.claim(&c, passed, (*tx).start)
		return err
	})
	if rejects(err) {
		claimed, err = s.claimApart(ctx, c, passed)
	}
	if err != nil {
		return queue.Claimed{}, unavailable(err, "claim jobs")
	}
	return claimed, nil
}

// passedJobs are the jobs to be passed over in lanes of one organization.
func (s *Store) passedJobs(now time.Time, probes []queue.Probe) map[uuid.UUID]bool {
	if len(probes) == 0 {
		return nil
	}
	return setOf(s.passed.At(now, &probes[0].Lane.Organization))
}

// passOver has a job that was refused passed over for a while.
func (s *Store) passOver(now time.Time, job, organization uuid.UUID, why error) queue.Refusal {
	s.passed.Add(now, job, organization)
	return queue.Refusal{Job: job, Why: why.Error(), Again: now.Add(refusal.PassOverFor)}
}

// claimApart starts what the host lets be started.
func (s *Store) claimApart(ctx context.Context, c queue.Claim, passed map[uuid.UUID]bool) (claimed queue.Claimed, err error) {
	var some queue.Claimed
	l := lineApart[uuid.UUID]{what: "job", message: "jobs cannot be handed out", passed: passed}
	l.remember = func(job uuid.UUID, why error) {
		claimed.Refused = append(claimed.Refused, s.passOver(c.Now, job, c.Probes[0].Lane.Organization, why))
	}
	l.take = func(t *tx, limit int) (jobs []uuid.UUID, err error) {
		part, from := c, len(claimed.Jobs)
		part.Workers, part.Secrets = c.Workers[from:from+limit], c.Secrets[min(from, len(c.Secrets)):]
		some, err = t.claim(&part, l.passed, func(t *tx, c *queue.Claim, pick candidate, i int) (j queue.Job, ok bool, err error) {
			ok, err = l.attempt(t, pick.id, func() (err error) {
				j, _, err = t.start(c, pick, i)
				return err
			})
			return j, ok, err
		})
		return idsOf(some.Jobs), err
	}
	l.taken = func() { claimed.Jobs, claimed.Limited = append(claimed.Jobs, some.Jobs...), some.Limited }
	err = l.run(ctx, s, len(c.Workers))
	return claimed, err
}

func idsOf(jobs []queue.Job) (ids []uuid.UUID) {
	for i := range jobs {
		ids = append(ids, jobs[i].ID)
	}
	return ids
}

// starter starts a job for the i-th worker of a claim; ok is false if that cannot be.
type starter func(t *tx, c *queue.Claim, pick candidate, i int) (j queue.Job, ok bool, err error)

func (t *tx) claim(c *queue.Claim, passed map[uuid.UUID]bool, start starter) (claimed queue.Claimed, err error) {
	alive, err := t.queryRow(`SELECT 1 FROM {processes} WHERE id = ? AND lost_at IS NULL`, []any{blob(c.Process)}, new(int))
	if err == nil && !alive {
		err = queue.ErrProcessLost
	}
	if err != nil || len(c.Workers) == 0 || len(c.Probes) == 0 {
		return claimed, err
	}
	p, err := t.newPicker(c, passed)
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
		if errors.Is(err, errEnough) {
			break
		}
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
