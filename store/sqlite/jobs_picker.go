package sqlite

import (
	"bytes"
	"slices"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// probedLane is what a claim reads of one lane, a page at a time.
type probedLane struct {
	queue.Lane
	number int64
	// priority that the lane counts with in this claim.
	priority int
	from     int64
	page     []candidate
	// last is the last candidate read; the next page begins behind it.
	last *candidate
	// byTenant: pages leave out the tenants at their limits, which costs a step for each tenant that waits in the lane.
	byTenant bool
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
	last    *probedLane // of the last pick
	// passed are the jobs that are passed over because the host refuses them.
	passed map[uuid.UUID]bool
}

func (t *tx) newPicker(c *queue.Claim, passed map[uuid.UUID]bool) (*picker, error) {
	p := &picker{t: t, c: c, passed: passed}
	pauses, err := t.pauses(c.Now)
	if err != nil {
		return nil, err
	}
	for _, probe := range c.Probes {
		n, err := t.findLane(probe.Lane)
		if err != nil {
			return nil, err
		}
		if n > 0 && !paused(pauses, probe.Lane) {
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
		p.last = lane
		p.running.Add(lane.Lane, pick.tenant, 1)
		return pick, true, nil
	}
}

// refused says that the last pick could not be started.
func (p *picker) refused(pick candidate) { p.running.Add(p.last.Lane, pick.tenant, -1) }

// pass takes the jobs of a tenant at its limit out of everything that was read, and will be. With the first such tenant all
// others are passed over too: that a limit stopped a job is known then.
func (p *picker) pass(tenant uuid.UUID) {
	if p.full == nil {
		p.full = p.running.FullTenants(p.c.Limits)
	}
	if !p.isFull(tenant) {
		p.full = append(p.full, tenant)
	}
	for _, lane := range p.lanes {
		lane.page = slices.DeleteFunc(lane.page, func(c candidate) bool { return p.isFull(c.tenant) })
	}
}

func (p *picker) isFull(tenant uuid.UUID) bool { return slices.Contains(p.full, tenant) }

// head is the lane whose first job is first over all.
func (p *picker) head() (first *probedLane, err error) {
	for _, lane := range p.lanes {
		for len(lane.page) == 0 && !lane.end {
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

const (
	nextInLine = `
		SELECT id, line, tenant_id FROM {jobs} INDEXED BY {jobs_ready}
		WHERE state = 0 AND organization_id = ?1 AND lane = ?2 AND (line, id) > (?3, ?4)
		ORDER BY line, id LIMIT ?5`

	// nextOfTenants goes from tenant to tenant and takes of each that is not full (?6) the first of its line.
	nextOfTenants = `
		WITH RECURSIVE tenants(id) AS (
			SELECT (SELECT tenant_id FROM {jobs} INDEXED BY {jobs_tenants} WHERE state = 0 AND organization_id = ?1 AND lane = ?2
				ORDER BY tenant_id LIMIT 1)
			UNION ALL
			SELECT (SELECT n.tenant_id FROM {jobs} n INDEXED BY {jobs_tenants}
				WHERE n.state = 0 AND n.organization_id = ?1 AND n.lane = ?2 AND n.tenant_id > tenants.id ORDER BY n.tenant_id LIMIT 1)
			FROM tenants WHERE tenants.id IS NOT NULL
		)
		SELECT j.id, j.line, j.tenant_id FROM tenants t CROSS JOIN {jobs} j
		WHERE t.id IS NOT NULL AND t.id NOT IN (SELECT unhex(value) FROM json_each(?6)) AND j.rowid IN (
			SELECT n.rowid FROM {jobs} n INDEXED BY {jobs_tenants}
			WHERE n.state = 0 AND n.organization_id = ?1 AND n.lane = ?2 AND n.tenant_id = t.id AND (n.line, n.id) > (?3, ?4)
			ORDER BY n.line, n.id LIMIT ?5)
		ORDER BY j.line, j.id LIMIT ?5`
)

// read reads the next jobs of a lane: as many as there are workers, since it may be that all come from here. The first page
// is the line as it is. Where tenants at their limits stand in it, the further ones go from tenant to tenant, so that a long
// line of one of them costs one step.
func (p *picker) read(lane *probedLane) error {
	from, id := lane.from, []byte{}
	if lane.last != nil {
		from, id = lane.last.line, blob(lane.last.id)
		lane.byTenant = lane.byTenant || len(p.full) > 0
	}
	limit := len(p.c.Workers) + len(p.passed)
	statement, args := nextInLine, []any{blob(lane.Organization), lane.number, from, id, limit}
	if lane.byTenant {
		statement, args = nextOfTenants, append(args, hexList(p.full))
	}
	n := 0
	err := p.t.query(statement, func(r rows) error {
		var c candidate
		err := r.Scan(&c.id, &c.line, &c.tenant)
		lane.last = &c
		if n++; !p.isFull(c.tenant) && !p.passed[c.id] {
			lane.page = append(lane.page, c)
		}
		return err
	}, args...)
	lane.end = n < limit
	return err
}
