package sqlite

import (
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// countRunning counts what runs in an organization.
func (t *tx) countRunning(organization uuid.UUID, room *queue.Room) error {
	return t.query(`
		SELECT l.type, l.priority, j.tenant_id, count(*) FROM {jobs} j INDEXED BY {jobs_running} CROSS JOIN {lanes} l ON l.id = j.lane
		WHERE j.state = 2 AND j.organization_id = ? GROUP BY j.lane, j.tenant_id`, func(r rows) error {
		var lane queue.Lane
		var tenant uuid.UUID
		var n int
		err := r.Scan(&lane.Type, &lane.Priority, &tenant, &n)
		room.Add(lane, tenant, n)
		return err
	}, blob(organization))
}
