package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// scans are how often a table was read as a whole and an index was used.
type scans struct{ whole, index int64 }

// counted reads the counters of the only session of a pool.
func counted(t *testing.T, pool *pgxpool.Pool) (s scans) {
	t.Helper()
	flushCounters(t, pool)
	err := pool.QueryRow(t.Context(), `
		SELECT (SELECT seq_scan FROM pg_stat_user_tables WHERE relid = 'dormouse.workspaces'::regclass),
			(SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelid = 'dormouse.workspaces_due'::regclass)`).Scan(&s.whole, &s.index)
	must(t, err)
	return s
}

// flushCounters makes the counters of the only session of a pool visible.
func flushCounters(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	var version int
	must(t, pool.QueryRow(t.Context(), `SELECT current_setting('server_version_num')::integer`).Scan(&version))
	if version < 150000 {
		t.Skip("the counters of older servers cannot be flushed on demand")
	}
	exec(t, pool, `SELECT pg_stat_force_next_flush()`)
	exec(t, pool, `SELECT 1`)
}

// alone returns a pool of one connection to the database of another pool.
func alone(t *testing.T, pool *pgxpool.Pool) *pgxpool.Pool {
	t.Helper()
	cfg := pool.Config()
	cfg.MaxConns = 1
	single, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(single.Close)
	return single
}

// TestPlans runs ticks on tables of every kind, often enough for the server to turn to generic plans, and sees that none
// reads the workspaces other than through their indexes.
func TestPlans(t *testing.T) {
	for _, percent := range []int{0, 1, 100} {
		for _, analyzed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d%% due, analyzed %v", percent, analyzed), func(t *testing.T) { testPlan(t, percent, analyzed) })
		}
	}
}

func testPlan(t *testing.T, percent int, analyzed bool) {
	wide, pool := open(t)
	exec(t, pool, `ALTER TABLE dormouse.workspaces SET (autovacuum_enabled = off)`)
	const n = 8000
	newFleet(t, wide, n)
	exec(t, pool, `UPDATE dormouse.workspaces SET wake_at = wake_at + interval '1 day' WHERE id IN
		(SELECT id FROM dormouse.workspaces ORDER BY md5(id::text) LIMIT $1)`, n-n*percent/100)
	if analyzed {
		exec(t, pool, `ANALYZE`)
	}

	single := alone(t, pool)
	before := counted(t, single)
	tickAlone(t, over(t, single))
	after := counted(t, single)
	if after.whole != before.whole {
		t.Errorf("the workspaces were read as a whole %d times", after.whole-before.whole)
	}
	if after.index == before.index {
		t.Error("the due index was not used")
	}
}

// tickAlone makes several ticks that do nothing but look and re-arm some.
func tickAlone(t *testing.T, s *postgres.Store) {
	t.Helper()
	for range 8 {
		page, err := s.Due(t.Context(), lifecycle.DueQuery{Now: epoch, Limit: 300})
		must(t, err)
		if len(page) > 0 {
			_, err = s.Due(t.Context(), lifecycle.DueQuery{Now: epoch, Limit: 300, After: lifecycle.CursorOf(page[len(page)-1])})
			must(t, err)
		}
		var changes []lifecycle.Change
		for _, snapshot := range page[:min(len(page), 5)] {
			changes = append(changes, wakeAt(snapshot, epoch.Add(time.Hour)))
		}
		outcomes, err := s.Commit(t.Context(), epoch, changes)
		must(t, err)
		for _, o := range outcomes {
			if o != lifecycle.Applied {
				t.Error("a commit without competition was not applied")
			}
		}
		_, err = s.NextWake(t.Context(), lifecycle.Shard{})
		must(t, err)
	}
}
