package sqlite_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The tick's query reads the due index, whatever is due and whatever SQLite believes of it.
func TestDueUsesItsIndex(t *testing.T) {
	for _, due := range []int{0, 1, 100} {
		for _, analyzed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d%%/analyzed=%t", due, analyzed), func(t *testing.T) {
				db := openFile(t, filepath.Join(t.TempDir(), "dormouse.db"))
				s := migrated(t, db)
				for i, id := range seed(t, s, 1000) {
					if i%100 >= due {
						_, err := db.ExecContext(t.Context(), `UPDATE dormouse_workspaces SET wake_at = ? WHERE id = ?`,
							killEpoch.Add(time.Hour).UnixMicro(), id[:])
						must(t, err)
					}
				}
				if analyzed {
					_, err := db.ExecContext(t.Context(), `ANALYZE`)
					must(t, err)
				}
				for _, statement := range s.DueStatements() {
					rows, err := db.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+statement, killEpoch.UnixMicro(), 0, []byte{}, 2, 1, 5)
					if err != nil {
						rows, err = db.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+statement, killEpoch.UnixMicro(), 0, []byte{}, 5)
					}
					must(t, err)
					var plan []string
					for rows.Next() {
						var id, parent, unused int
						var detail string
						must(t, rows.Scan(&id, &parent, &unused, &detail))
						plan = append(plan, detail)
					}
					must(t, rows.Err())
					text := strings.Join(plan, "\n")
					if !strings.HasPrefix(text, "SEARCH w USING INDEX dormouse_workspaces_due") || strings.Contains(text, "SCAN") || strings.Contains(text, "TEMP B-TREE") {
						t.Errorf("plan:\n%s\nmust begin with a search in the due index, scan nothing and sort nothing", text)
					}
				}
			})
		}
	}
}
