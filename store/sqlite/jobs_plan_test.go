package sqlite_test

import (
	"strings"
	"testing"
)

// What looks at jobs searches its index, whatever the number of jobs and of tenants: nothing of it reads the table as a whole,
// and nothing sorts more than the page it returns.
func TestJobStatementsUseTheirIndexes(t *testing.T) {
	for _, analyzed := range []bool{false, true} {
		db := openNew(t)
		s := migrated(t, db)
		seed(t, s, 1000)
		if analyzed {
			_, err := db.ExecContext(t.Context(), `ANALYZE`)
			must(t, err)
		}
		for name, statement := range s.JobStatements() {
			args := make([]any, statement.Args)
			found, err := db.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+statement.Text, args...)
			must(t, err)
			var plan []string
			for found.Next() {
				var id, parent, unused int
				var detail string
				must(t, found.Scan(&id, &parent, &unused, &detail))
				plan = append(plan, detail)
			}
			must(t, found.Err())
			text := strings.Join(plan, "\n")
			if !strings.Contains(text, "INDEX dormouse_"+statement.Index+" ") && !strings.Contains(text, "INDEX dormouse_"+statement.Index+"\n") {
				t.Errorf("%s does not use %s:\n%s", name, statement.Index, text)
			}
			for _, line := range plan {
				if strings.HasPrefix(line, "SCAN dormouse_jobs") || strings.HasPrefix(line, "SCAN n") || strings.HasPrefix(line, "SCAN j ") {
					t.Errorf("%s reads jobs as a whole:\n%s", name, text)
				}
			}
		}
	}
}
