package sqlite

import (
	"context"
	"encoding/json"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Processes implements [queue.Directory].
func (s *Store) Processes(ctx context.Context, q queue.ProcessQuery) (found []queue.Process, err error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	if err = s.ready(ctx); err == nil {
		err = s.query(ctx, `
			SELECT id, name, heartbeats, heartbeat_at, lost_at IS NOT NULL, workers,
				(SELECT count(*) FROM {jobs} INDEXED BY {jobs_held} WHERE state = 2 AND process_id = p.id)
			FROM {processes} p WHERE id > ? AND heartbeats > 0 ORDER BY id LIMIT ?`, func(r rows) error {
			var p queue.Process
			var workers []byte
			err := r.Scan(&p.ID, &p.Name, &p.Heartbeats, into(&p.HeartbeatAt), &p.Lost, &workers, &p.Holding)
			if json.Unmarshal(workers, &p.Workers) != nil {
				p.Workers = nil
			}
			found = append(found, p)
			return err
		}, blob(q.After), q.Limit)
	}
	return found, unavailable(err, "list processes")
}
