package sqlite_test

import (
	"strings"
	"testing"
	"time"
)

// A record that the host keeps from being tidied away keeps no other, of no kind.
func TestTidyingBesideWhatTheHostKeeps(t *testing.T) {
	const three = `WITH n (n) AS (VALUES (x'00000000000000000000000000000001'), (x'00000000000000000000000000000002'), (x'00000000000000000000000000000003')) `
	tables := map[string]string{
		"processes": `INSERT INTO dormouse_processes (id, name, heartbeats, lost_at, workers) SELECT n, '', 1, 1, CAST('[]' AS BLOB) FROM n`,
		"pauses":    `INSERT INTO dormouse_pauses (organization_id, type, paused_at, ends_at, paused_by, note) SELECT n, 'build', 1, 1, '', '' FROM n`,
		"turns":     `INSERT INTO dormouse_turns (organization_id, priority, tenant_id, last) SELECT n, 0, n, 1 FROM n`,
		"floors":    `INSERT INTO dormouse_floors (organization_id, priority, claimed) SELECT n, 0, 1 FROM n`,
		"lanes":     `INSERT INTO dormouse_lanes (organization_id, type, tags, priority) SELECT n, 'build', '', 0 FROM n UNION ALL SELECT n, 'last', '', 0 FROM n WHERE hex(n) LIKE '%3'`,
	}
	for table := range tables {
		for how, refusal := range refusals {
			t.Run(table+"/"+how, func(t *testing.T) {
				p := newPruned(t)
				for _, fill := range tables {
					insert, rest, _ := strings.Cut(fill, " SELECT ")
					p.exec(insert + " " + three + "SELECT " + rest)
				}
				column := "organization_id"
				if table == "processes" {
					column = "id"
				}
				p.exec(`CREATE TRIGGER host BEFORE DELETE ON dormouse_` + table + ` WHEN old.` + column + ` = x'00000000000000000000000000000002' BEGIN ` + refusal + `; END`)
				if _, err := p.s.PruneJobs(t.Context(), killEpoch.Add(time.Hour), 10); err != nil {
					t.Error(err)
				}
				for other := range tables {
					want := 0
					if other == table {
						want = 1
					}
					if other == "lanes" {
						want++ // the last one stays
					}
					if n := rowsOf(t, p.db, "dormouse_"+other); n != want {
						t.Errorf("of %s are left %d, want %d", other, n, want)
					}
				}
				if said := p.log.String(); how == "raises" && !strings.Contains(said, "rows cannot be pruned") {
					t.Errorf("log: %s", said)
				}
			})
		}
	}
}
