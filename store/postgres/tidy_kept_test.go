package postgres_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// A record that the host keeps from being tidied away keeps no other, of no kind.
func TestTidyingBesideWhatTheHostKeeps(t *testing.T) {
	pool := pgtest.Pool(t)
	const kept = "00000000-0000-0000-0000-00000000000"
	tables := map[string]string{
		"processes": `INSERT INTO dormouse.processes (id, name, heartbeats, lost_at, workers) SELECT ('` + kept + `' || n)::uuid, '', 1, $1, '[]' FROM generate_series(1, 3) n`,
		"pauses": `INSERT INTO dormouse.pauses (organization_id, type, paused_at, ends_at, paused_by, note)
			SELECT ('` + kept + `' || n)::uuid, 'build', $1, $1, '', '' FROM generate_series(1, 3) n`,
		"turns": `INSERT INTO dormouse.turns (organization_id, priority, tenant_id, place, step)
			SELECT ('` + kept + `' || n)::uuid, 0, gen_random_uuid(), extract(day FROM $1::timestamptz)::int, 1 FROM generate_series(1, 3) n`,
		"claimed": `INSERT INTO dormouse.claimed (organization_id, priority, place)
			SELECT ('` + kept + `' || n)::uuid, 0, extract(day FROM $1::timestamptz)::int FROM generate_series(1, 3) n`,
	}
	for table := range tables {
		for how, refusal := range rowRefusals {
			if !strings.HasPrefix(how, "a trigger") {
				continue
			}
			t.Run(table+"/"+how, func(t *testing.T) {
				k := newRefusedJobs(t, pool)
				exec(t, pool, `TRUNCATE dormouse.processes, dormouse.pauses, dormouse.turns, dormouse.claimed`)
				for _, fill := range tables {
					exec(t, pool, fill, epoch)
				}
				column := "organization_id"
				if table == "processes" {
					column = "id"
				}
				trigger := strings.NewReplacer("dormouse.jobs", "dormouse."+table, "old.id", "old."+column).Replace(refusal)
				exec(t, pool, fmt.Sprintf(trigger, "DELETE", kept+"2"))
				if _, err := k.s.PruneJobs(soon(t), epoch.Add(time.Hour), 10); err != nil {
					t.Error(err)
				}
				for other := range tables {
					want := 0
					if other == table {
						want = 1
					}
					if n := count(t, pool, other); n != want {
						t.Errorf("of %s are left %d, want %d", other, n, want)
					}
				}
				if said := k.log.String(); how != "a trigger says no row" && !strings.Contains(said, kept+"2") {
					t.Errorf("log: %s", said)
				}
				exec(t, pool, letGoSQL)
			})
		}
	}
}
