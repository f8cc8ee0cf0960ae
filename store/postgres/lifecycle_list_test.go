package postgres_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// indexScans reads how often the workspaces were read as a whole, and through each index, in the only session of a pool.
func indexScans(t *testing.T, pool *pgxpool.Pool) map[string]int64 {
	t.Helper()
	flushCounters(t, pool)
	rows, err := pool.Query(t.Context(), `
		SELECT indexrelname, idx_scan FROM pg_stat_user_indexes
		WHERE relid IN ('dormouse.workspaces'::regclass, 'dormouse.workspace_keys'::regclass, 'dormouse.builds'::regclass)
		UNION ALL SELECT '', seq_scan FROM pg_stat_user_tables WHERE relid = 'dormouse.workspaces'::regclass`)
	must(t, err)
	defer rows.Close()
	scans := map[string]int64{}
	for rows.Next() {
		var name string
		var n int64
		must(t, rows.Scan(&name, &n))
		scans[name] = n
	}
	must(t, rows.Err())
	return scans
}

// Each list reads the workspaces through the index that its statement is written for, whatever the server believes of them.
func TestListPlans(t *testing.T) {
	for _, analyzed := range []bool{false, true} {
		t.Run(fmt.Sprintf("analyzed %v", analyzed), func(t *testing.T) {
			wide, pool := open(t)
			exec(t, pool, `ALTER TABLE dormouse.workspaces SET (autovacuum_enabled = off)`)
			f := newFleet(t, wide, 4000)
			if analyzed {
				exec(t, pool, `ANALYZE`)
			}
			single := alone(t, pool)
			s := over(t, single)
			organization := []uuid.UUID{f.template.OrganizationID}
			for _, c := range []struct {
				index string
				q     lifecycle.ListQuery
			}{
				{"workspaces_pkey", lifecycle.ListQuery{}},
				{"workspace_keys_owner", lifecycle.ListQuery{OwnerID: uuid.New()}},
				{"workspace_keys_template", lifecycle.ListQuery{TemplateID: f.template.ID}},
				{"workspaces_due", lifecycle.ListQuery{Order: lifecycle.ListByWake, DueBy: epoch}},
				{"workspaces_status", lifecycle.ListQuery{Organizations: organization}},
				{"workspaces_status", lifecycle.ListQuery{Statuses: []lifecycle.Status{lifecycle.StatusNew, lifecycle.StatusFailed}}},
				{"workspaces_status", lifecycle.ListQuery{Building: true}},
				{"workspace_keys_name", lifecycle.ListQuery{Organizations: organization, Order: lifecycle.ListByName, NamePrefix: "w"}},
				{"workspace_keys_name", lifecycle.ListQuery{Order: lifecycle.ListByName}},
			} {
				c.q.Limit = 20
				before := indexScans(t, single)
				for range 8 { // often enough for a generic plan
					page, err := s.List(t.Context(), c.q)
					must(t, err)
					if len(page) > 0 {
						_, err = s.List(t.Context(), c.q.Following(&page[len(page)-1]))
						must(t, err)
					}
				}
				after := indexScans(t, single)
				if after[""] != before[""] {
					t.Errorf("%+v read the workspaces as a whole", c.q)
				}
				if after[c.index] == before[c.index] {
					t.Errorf("%+v did not use %s: %v, then %v", c.q, c.index, before, after)
				}
			}
			before := indexScans(t, single)
			for range 8 {
				_, err := s.FleetBuilds(t.Context(), lifecycle.BuildQuery{Limit: 20, Organizations: organization})
				must(t, err)
			}
			after := indexScans(t, single)
			if after[""] != before[""] || after["workspaces_built"] == before["workspaces_built"] || after["builds_created"] == before["builds_created"] {
				t.Errorf("the builds of all did not use their indexes: %v, then %v", before, after)
			}
		})
	}
}
