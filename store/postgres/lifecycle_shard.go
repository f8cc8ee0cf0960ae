package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// attendSQL notes that a replica ticks and finds its place among those that do. A statement does not see what it writes,
// so the replica itself is added. Where somebody else holds its row, it waits for nobody: others count without it for a while,
// and look at what it looks at too. Those not seen for a long time are deleted by whoever comes by. One that was seen in a
// future further away than the time to live had a wrong clock, and counts for nothing until it is seen again.
const attendSQL = `
	WITH mine AS (
		INSERT INTO dormouse.replicas (id, seen_at) VALUES ($1, $2)
		ON CONFLICT (id) DO NOTHING
	), seen AS (
		UPDATE dormouse.replicas SET seen_at = $2
		WHERE id IN (SELECT id FROM dormouse.replicas WHERE id = $1 FOR UPDATE SKIP LOCKED)
	), gone AS (
		DELETE FROM dormouse.replicas
		WHERE id IN (SELECT id FROM dormouse.replicas WHERE seen_at < $4 AND id <> $1 FOR UPDATE SKIP LOCKED)
	)
	SELECT count(*) FILTER (WHERE id < $1), count(*) + 1
	FROM dormouse.replicas WHERE seen_at > $3 AND seen_at < $5 AND id <> $1`

// Shard implements [lifecycle.Sharder].
func (s *Store) Shard(ctx context.Context, now time.Time, replica uuid.UUID, ttl time.Duration) (share lifecycle.Shard, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		return s.db.QueryRow(ctx, s.sql(attendSQL), key(replica), now, now.Add(-ttl), now.Add(-100*ttl), now.Add(ttl)).
			Scan(&share.Index, &share.Count)
	})
	if err != nil {
		return lifecycle.Shard{}, fmt.Errorf("attend: %w", err)
	}
	return share, nil
}
