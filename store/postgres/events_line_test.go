package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// lined fills the outbox with the events of one workspace, the first of which waits for its retry, and some of others before
// or behind them.
func lined(t *testing.T, pool *pgxpool.Pool, line, before, behind int) {
	t.Helper()
	exec(t, pool, `ALTER TABLE dormouse.events SET (autovacuum_enabled = off)`)
	const insert = `INSERT INTO dormouse.events (workspace_id, topic, body) SELECT gen_random_uuid(), 0, '{}' FROM generate_series(1, $1)`
	exec(t, pool, insert, before)
	exec(t, pool, `
		INSERT INTO dormouse.events (workspace_id, topic, body, attempt, free_at)
		SELECT '77777777-0000-4000-8000-000000000000', 0, '{}', CASE n WHEN 1 THEN 1 ELSE 0 END, CASE n WHEN 1 THEN $2::timestamptz END
		FROM generate_series(1, $1) n`, line, epoch.Add(time.Hour))
	exec(t, pool, insert, behind)
}

// What a workspace has in line costs the claims of others' events nothing that grows with it, wherever they stand.
func TestAClaimOfEventsPassesALongLine(t *testing.T) {
	for name, c := range map[string]struct{ before, behind, want int }{
		"in front":     {0, 300, 30},
		"at the end":   {300, 0, 30},
		"in between":   {20, 20, 30},
		"little else":  {10, 10, 20},
		"nothing else": {0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, pool := open(t)
			lined(t, pool, 20000, c.before, c.behind)
			if c.behind > 0 { // the server knows of it then
				exec(t, pool, `ANALYZE dormouse.events`)
			}
			single := alone(t, pool)
			s := over(t, single)
			for _, want := range []int{c.want, min(c.want, c.before+c.behind-c.want)} { // the first one reads the catalog
				before, err := eventReads(t, single)
				must(t, err)
				events, err := s.ClaimEvents(t.Context(), epoch, []lifecycle.Topic{lifecycle.TopicAudit}, time.Minute, 30)
				must(t, err)
				if len(events) != want {
					t.Errorf("%d events were claimed, want %d", len(events), want)
				}
				after, err := eventReads(t, single)
				must(t, err)
				if n := after - before; n > 8000 {
					t.Errorf("a claim of 30 events read %d", n)
				}
			}
		})
	}
}
