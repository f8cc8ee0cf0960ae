package sqlite_test

import (
	"database/sql"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

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

// A workspace that the host keeps from being woken, and a template whose mark it keeps, have everybody else woken all the same.
func TestSweepBesideWhatTheHostKeeps(t *testing.T) {
	for how, refusal := range refusals {
		t.Run(how, func(t *testing.T) {
			p := newPruned(t)
			ids := seed(t, p.s, 4)
			later := killEpoch.Add(time.Hour)
			p.exec(`UPDATE dormouse_workspaces SET wake_at = NULL`)
			p.exec(`INSERT INTO dormouse_templates SELECT x'00000000000000000000000000000001', revision, sweep_at, sweep_after, organization_id, name,
				active_version_id, edition, rules, policy, state FROM dormouse_templates`)
			p.exec(`UPDATE dormouse_templates SET revision = revision + 1, sweep_at = ?`, later.UnixMicro())
			p.exec(`CREATE TRIGGER host_workspaces BEFORE UPDATE ON dormouse_workspaces WHEN new.id = x'` + hex.EncodeToString(ids[2][:]) + `' BEGIN ` + refusal + `; END`)
			p.exec(`CREATE TRIGGER host_templates BEFORE UPDATE ON dormouse_templates WHEN new.id = x'00000000000000000000000000000001' BEGIN ` + refusal + `; END`)
			for range 2 {
				found, err := p.s.Due(t.Context(), lifecycle.DueQuery{Now: later, Limit: 10})
				must(t, err)
				var due []uuid.UUID
				for i := range found {
					due = append(due, found[i].Workspace.ID)
				}
				if slices.Contains(due, ids[2]) || len(due) != 3 {
					t.Errorf("due: %v, want all but %v", due, ids[2])
				}
				for _, kept := range []string{ids[2].String(), "00000000-0000-0000-0000-000000000001"} {
					if how := p.log.String(); !strings.Contains(how, kept) {
						t.Errorf("the log does not name %s: %s", kept, how)
					}
				}
			}
			if n := len(keysOf(t, p.db, `SELECT hex(id) FROM dormouse_templates WHERE sweep_at IS NOT NULL`)); n != 1 {
				t.Errorf("%d marks are left, want the one that is kept", n)
			}
		})
	}
}

func keysOf(t *testing.T, db *sql.DB, query string) (keys []string) {
	t.Helper()
	each(t, db, query, func(row []any) { keys = append(keys, row[0].(string)) })
	return keys
}
