package sqlite

import (
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// tally counts the running jobs of an organization in the ways that limits ask for. The zero value counts nothing, for
// claims without limits.
type tally struct {
	tenants    map[uuid.UUID]int
	types      map[string]int
	priorities map[int16]int
}

// tally counts what runs in an organization.
func (t *tx) tally(organization uuid.UUID, running *tally) error {
	*running = tally{tenants: map[uuid.UUID]int{}, types: map[string]int{}, priorities: map[int16]int{}}
	return t.query(`
		SELECT l.type, l.priority, j.tenant_id, count(*) FROM {jobs} j INDEXED BY {jobs_running} CROSS JOIN {lanes} l ON l.id = j.lane
		WHERE j.state = 2 AND j.organization_id = ? GROUP BY j.lane, j.tenant_id`, func(r rows) error {
		var lane queue.Lane
		var tenant uuid.UUID
		var n int
		err := r.Scan(&lane.Type, &lane.Priority, &tenant, &n)
		running.add(lane, tenant, n)
		return err
	}, blob(organization))
}

func (y *tally) add(lane queue.Lane, tenant uuid.UUID, n int) {
	if y.tenants == nil {
		return
	}
	y.tenants[tenant] += n
	y.types[lane.Type] += n
	y.priorities[lane.Priority] += n
}

func (y *tally) tenantFull(l queue.Limits, tenant uuid.UUID) bool {
	limit := l.Tenant(tenant)
	return limit > 0 && y.tenants[tenant] >= limit
}

// laneFull reports whether a limit stops every job of a lane: that of its type, or of its class.
func (y *tally) laneFull(l queue.Limits, lane queue.Lane) bool {
	if limit := l.Types[lane.Type]; limit > 0 && y.types[lane.Type] >= limit {
		return true
	}
	for _, class := range l.Classes {
		if lane.Priority <= class.Priority && y.upTo(class.Priority) >= class.Max {
			return true
		}
	}
	return false
}

func (y *tally) upTo(priority int16) int {
	n := 0
	for p, running := range y.priorities {
		if p <= priority {
			n += running
		}
	}
	return n
}
