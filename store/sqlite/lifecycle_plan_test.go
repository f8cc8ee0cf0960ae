package sqlite_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"
)

// The tick's query reads the due index, whatever is due and whatever SQLite believes of it.
func TestDueUsesItsIndex(t *testing.T) {
	db := openNew(t)
	s := migrated(t, db)
	seed(t, s, 1000)
	for _, analyzed := range []bool{false, true} { // SQLite forgets no analysis
		for _, due := range []int{0, 1, 100} {
			t.Run(fmt.Sprintf("%d%%/analyzed=%t", due, analyzed), func(t *testing.T) {
				_, err := db.ExecContext(t.Context(), `UPDATE dormouse_workspaces SET wake_at = CASE WHEN rowid % 100 < ? THEN ? ELSE ? END`,
					due, killEpoch.UnixMicro(), killEpoch.Add(time.Hour).UnixMicro())
				must(t, err)
				if analyzed {
					_, err := db.ExecContext(t.Context(), `ANALYZE`)
					must(t, err)
				}
				for statement, index := range s.ListStatements() {
					plan := planOf(t, db, statement)
					if !strings.Contains(plan, "INDEX "+index) ||
						strings.Contains(plan, "SCAN w") || strings.Contains(plan, "SCAN dormouse") ||
						strings.Contains(plan, "TEMP B-TREE") && !strings.Contains(index, "owner") && !strings.Contains(index, "status") && !strings.Contains(statement, "GROUP BY") {
						t.Errorf("plan:\n%s\nmust search %s and scan nothing, for%s", plan, index, statement)
					}
				}
				plan := planOf(t, db, s.FleetBuildsStatement())
				for _, index := range []string{"w USING INDEX dormouse_workspaces_built", "b USING INDEX dormouse_builds_created"} {
					if !strings.Contains(plan, "SEARCH "+index) || strings.Contains(plan, "SCAN w") || strings.Contains(plan, "SCAN b") {
						t.Errorf("plan:\n%s\nmust search %s", plan, index)
					}
				}
				for _, statement := range s.DueStatements() {
					text := planOf(t, db, statement)
					if !strings.HasPrefix(text, "SEARCH w USING INDEX dormouse_workspaces_due") || strings.Contains(text, "SCAN") || strings.Contains(text, "TEMP B-TREE") {
						t.Errorf("plan:\n%s\nmust begin with a search in the due index, scan nothing and sort nothing", text)
					}
				}
			})
		}
	}
}

// planOf is how SQLite runs a statement, whatever its parameters.
func planOf(t *testing.T, db *sql.DB, statement string) string {
	t.Helper()
	args := make([]any, 0, 12)
	for {
		rows, err := db.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+statement, args...)
		if err != nil {
			if len(args) == cap(args) {
				t.Fatal(err)
			}
			args = append(args, nil)
			continue
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			must(t, rows.Scan(&id, &parent, &unused, &detail))
			plan = append(plan, detail)
		}
		must(t, rows.Err())
		return strings.Join(plan, "\n")
	}
}
