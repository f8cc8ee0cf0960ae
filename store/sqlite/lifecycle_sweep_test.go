package sqlite_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// A process that died after it had put a template, and before it had pulled all wakes, leaves a mark; the next tick of
// anybody completes its work.
func TestSweepIsCompleted(t *testing.T) {
	db := openNew(t)
	s := migrated(t, db)
	const n = 1200 // more than two batches
	seed(t, s, n)
	later := killEpoch.Add(time.Hour)
	for _, statement := range []string{
		`UPDATE dormouse_workspaces SET wake_at = NULL`,
		`UPDATE dormouse_templates SET revision = revision + 1, sweep_at = ?`,
	} {
		args := []any{later.UnixMicro()}
		if statement[len(statement)-1] != '?' {
			args = nil
		}
		_, err := db.ExecContext(t.Context(), statement, args...)
		must(t, err)
	}
	wake, err := s.NextWake(t.Context(), lifecycle.Shard{})
	must(t, err)
	found, err := s.Due(t.Context(), lifecycle.DueQuery{Now: later, Limit: 2 * n})
	must(t, err)
	if !wake.Equal(later) || len(found) != n || found[0].Workspace.Revision != 2 {
		t.Errorf("next wake %v, %d due, revision %d: must be %v, %d and 2", wake, len(found), found[0].Workspace.Revision, later, n)
	}
	var pending int
	must(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM dormouse_templates WHERE sweep_at IS NOT NULL`).Scan(&pending))
	if pending != 0 {
		t.Error("a completed sweep must leave no mark")
	}
}
