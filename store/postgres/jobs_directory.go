package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

const directorySQL = `
	SELECT p.id, p.name, p.heartbeats, p.heartbeat_at, p.lost_at IS NOT NULL, p.workers,
		(SELECT count(*) FROM dormouse.jobs j WHERE j.state = 1 AND j.process_id = p.id)
	FROM dormouse.processes p WHERE p.id > $1 AND p.heartbeats > 0 ORDER BY p.id LIMIT $2`

// Processes implements [queue.Directory].
func (s *Store) Processes(ctx context.Context, q queue.ProcessQuery) (found []queue.Process, err error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		rows, _ := s.db.Query(ctx, s.sql(directorySQL), key(q.After), q.Limit)
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (queue.Process, error) {
			var holding int
			p, _, err := scanProcess(row, &holding)
			p.Holding = holding
			return p, err
		})
		return err
	})
	return found, wrap(err, "list processes")
}
