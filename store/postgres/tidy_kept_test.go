package postgres_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// waitingTrigger waits for what somebody holds.
var waitingTrigger = `CREATE TABLE public.kept AS SELECT 1;` + rowTrigger(`PERFORM FROM public.kept FOR UPDATE; RETURN coalesce(new, old)`)

// A record that the host keeps from being tidied away, or that waits there for what somebody holds, keeps no other, of no kind.
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
	ways := maps.Clone(rowRefusals)
	ways["a trigger waits"] = waitingTrigger
	for table := range tables {
		for how, refusal := range ways {
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
				release := func() {}
				if how == "a trigger waits" {
					release = holds(t, pool, `SELECT FROM public.kept FOR UPDATE`)
				}
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
				release()
				exec(t, pool, letGoSQL)
			})
		}
	}
}

// A tag set that the host keeps from being retired, from coming back into use or from being deleted, or that somebody holds, keeps no other
// from it, and is named.
func TestTagSetsBesideOneThatTheHostKeeps(t *testing.T) {
	pool := pgtest.Pool(t)
	ways := map[string]string{"somebody holds it": ""}
	all := maps.Clone(rowRefusals)
	all["a trigger waits"] = waitingTrigger
	for how, refusal := range all {
		if strings.HasPrefix(how, "a trigger") {
			ways[how] = strings.NewReplacer("dormouse.jobs", "dormouse.tag_sets", "'%[2]s'", "%[2]d").Replace(refusal)
		}
	}
	for what, c := range map[string]struct {
		on, retired string
		used        bool
		// done is true of what the tidying leaves of a tag set.
		done string
	}{
		"retired": {"UPDATE", "NULL", false, "retired_at IS NOT NULL"},
		"used":    {"UPDATE", "'2026-01-01'", true, "retired_at IS NULL"},
		"deleted": {"DELETE", "'2026-01-01'", false, "false"},
	} {
		for how, refusal := range ways {
			t.Run(what+"/"+how, func(t *testing.T) {
				k := newRefusedJobs(t, pool)
				exec(t, pool, `DELETE FROM dormouse.jobs; DELETE FROM dormouse.tag_sets`)
				rows, err := pool.Query(t.Context(), `INSERT INTO dormouse.tag_sets (canon, retired_at)
					SELECT '{"n":"' || n || '"}', `+c.retired+`::timestamptz FROM generate_series(1, 5) n RETURNING id`)
				must(t, err)
				ids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
				must(t, err)
				if c.used {
					for range ids {
						k.post(time.Time{}, "build")
					}
					exec(t, pool, `UPDATE dormouse.jobs j SET tag_set = $1 + r.n FROM (SELECT id, row_number() OVER () - 1 AS n FROM dormouse.jobs) r WHERE r.id = j.id`, ids[0])
				}
				release := func() {}
				if refusal == "" {
					release = holds(t, pool, `SELECT FROM dormouse.tag_sets WHERE id = $1 FOR UPDATE`, ids[2])
				} else {
					exec(t, pool, fmt.Sprintf(refusal, c.on, ids[2]))
				}
				if how == "a trigger waits" {
					release = holds(t, pool, `SELECT FROM public.kept FOR UPDATE`)
				}
				_, err = k.s.PruneJobs(soon(t), epoch.Add(time.Hour), 10)
				must(t, err)
				rows, err = pool.Query(t.Context(), `SELECT id FROM dormouse.tag_sets WHERE NOT (`+c.done+`) AND id = ANY ($1)`, ids)
				must(t, err)
				left, err := pgx.CollectRows(rows, pgx.RowTo[int32])
				must(t, err)
				if !slices.Equal(left, ids[2:3]) {
					t.Errorf("left as they were are %d, want %d", left, ids[2])
				}
				if said := k.log.String(); refusal != "" && how != "a trigger says no row" && !strings.Contains(said, fmt.Sprint("tag set ", ids[2])) {
					t.Errorf("log: %s", said)
				}
				release()
				exec(t, pool, letGoSQL)
			})
		}
	}
}
