package sqlite

import (
	"bytes"
	"context"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Claim implements [queue.Queue]. Under the write lock nobody else claims, so what it reads stays true until it writes:
// it looks into each lane once, merges what it finds, and passes over what the limits stop.
func (s *Store) Claim(ctx context.Context, c queue.Claim) (claimed queue.Claimed, err error) {
	err = s.write(ctx, func(t *tx) error {
		claimed, err = t.claim(&c)
		return err
	})
	if err != nil {
		return queue.Claimed{}, unavailable(err, "claim jobs")
	}
	return claimed, nil
}

func (t *tx) claim(c *queue.Claim) (claimed queue.Claimed, err error) {
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
	for i := range c.Workers {
		pick, ok, err := p.next()
		if err != nil {
			return claimed, err
		}
		if !ok {
			break
		}
		job, err := t.start(c, pick, i)
		if err != nil {
			return claimed, err
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
func (t *tx) start(c *queue.Claim, pick candidate, i int) (queue.Job, error) {
	jobs, err := t.jobs(startJob,
		micros(c.Now), blob(c.Process), blob(c.Workers[i]), blob(c.Token), secretBlob(c.SecretFor(i)), blob(pick.id))
	if err != nil {
		return queue.Job{}, err
	}
	return jobs[0], nil
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

// lane is what a claim reads of one lane, a page at a time.
type probedLane struct {
	queue.Lane
	number int64
	// priority that the lane counts with in this claim.
	priority int
	from     int64
	page     []candidate
	// last is the last candidate read; the next page begins behind it.
	last *candidate
	// end: there is nothing behind the page.
	end bool
}

// picker draws jobs from several lanes in line order, keeping to the limits.
type picker struct {
	t       *tx
	c       *queue.Claim
	lanes   []*probedLane
	running queue.Room
	// full are the tenants whose jobs are passed over.
	full    []uuid.UUID
	limited bool
}

func (t *tx) newPicker(c *queue.Claim) (*picker, error) {
	p := &picker{t: t, c: c}
	for _, probe := range c.Probes {
		n, err := t.findLane(probe.Lane)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			p.lanes = append(p.lanes, &probedLane{
				Lane: probe.Lane, number: n, priority: int(probe.Lane.Priority) + int(probe.Boost), from: probe.From,
			})
		}
	}
	if c.Limits.None() {
		return p, nil
	}
	return p, t.countRunning(c.Probes[0].Lane.Organization, &p.running)
}

// next returns the first job in line that no limit stops; ok is false if there is none.
func (p *picker) next() (pick candidate, ok bool, err error) {
	for {
		lane, err := p.head()
		if lane == nil || err != nil {
			return candidate{}, false, err
		}
		pick = lane.page[0]
		switch {
		case p.running.LaneFull(p.c.Limits, lane.Lane):
			p.limited, lane.page, lane.end = true, nil, true
			continue
		case p.running.TenantFull(p.c.Limits, pick.tenant):
			p.limited = true
			p.pass(pick.tenant)
			continue
		}
		lane.page = lane.page[1:]
		p.running.Add(lane.Lane, pick.tenant, 1)
		return pick, true, nil
	}
}

// pass takes the jobs of a tenant out of everything that was read, and will be.
func (p *picker) pass(tenant uuid.UUID) {
	p.full = append(p.full, tenant)
	for _, lane := range p.lanes {
		kept := lane.page[:0]
		for _, c := range lane.page {
			if c.tenant != tenant {
				kept = append(kept, c)
			}
		}
		lane.page = kept
	}
}

// head is the lane whose first job is first over all.
func (p *picker) head() (first *probedLane, err error) {
	for _, lane := range p.lanes {
		if len(lane.page) == 0 && !lane.end {
			if err := p.read(lane); err != nil {
				return nil, err
			}
		}
		if len(lane.page) > 0 && (first == nil || lane.before(first)) {
			first = lane
		}
	}
	return first, nil
}

func (l *probedLane) before(other *probedLane) bool {
	a, b := &l.page[0], &other.page[0]
	switch {
	case l.priority != other.priority:
		return l.priority > other.priority
	case a.line != b.line:
		return a.line < b.line
	}
	return bytes.Compare(a.id[:], b.id[:]) < 0
}

// read reads the next jobs of a lane: as many as there are workers, since it may be that all come from here.
func (p *picker) read(lane *probedLane) error {
	from, id := lane.from, []byte{}
	if lane.last != nil {
		from, id = lane.last.line, blob(lane.last.id)
	}
	limit := len(p.c.Workers)
	n := 0
	err := p.t.query(`
		SELECT id, line, tenant_id FROM {jobs} INDEXED BY {jobs_ready}
		WHERE state = 0 AND organization_id = ? AND lane = ? AND (line, id) > (?, ?)
			AND tenant_id NOT IN (SELECT unhex(value) FROM json_each(?))
		ORDER BY line, id LIMIT ?`, func(r rows) error {
		var c candidate
		err := r.Scan(&c.id, &c.line, &c.tenant)
		lane.page, lane.last = append(lane.page, c), &c
		n++
		return err
	}, blob(lane.Organization), lane.number, from, id, hexList(p.full), limit)
	lane.end = n < limit
	return err
}
