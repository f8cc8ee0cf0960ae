package postgres_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
)

var auditAndNotice = []lifecycle.Topic{lifecycle.TopicAudit, lifecycle.TopicNotice}

// pruneEvents prunes what is older than an hour after the epoch, and returns the numbers of the events.
func pruneEvents(t *testing.T, s *postgres.Store, limit int) (seqs []int64) {
	t.Helper()
	events, err := s.PruneEvents(soon(t), epoch.Add(time.Hour), auditAndNotice, limit)
	must(t, err)
	for _, e := range events {
		seqs = append(seqs, e.Seq)
	}
	return seqs
}

// fillEvents stores n old events, each of its own workspace, the topics in turn, numbered from 1.
func fillEvents(t *testing.T, pool *pgxpool.Pool, n int) {
	t.Helper()
	exec(t, pool, `TRUNCATE dormouse.events RESTART IDENTITY CASCADE`)
	exec(t, pool, `INSERT INTO dormouse.events (topic, workspace_id, body)
		SELECT n % 2, gen_random_uuid(), json_build_object('at', $2::text, 'topic', CASE n % 2 WHEN 1 THEN 'notice' ELSE 'audit' END) FROM generate_series(1, $1) n`, n, epoch.Format(time.RFC3339))
}

// Events that something of the host keeps stay, and keep no other: more of them than a call removes, too.
func TestPruneEventsBesideWhatTheHostKeeps(t *testing.T) {
	_, pool := open(t)
	const refer = `INSERT INTO host SELECT seq FROM dormouse.events WHERE seq <= 8`
	keeps := map[string]string{
		"referred to":           `CREATE TABLE host (event bigint REFERENCES dormouse.events (seq)); ` + refer,
		"referred to, deferred": `CREATE TABLE host (event bigint REFERENCES dormouse.events (seq) DEFERRABLE INITIALLY DEFERRED); ` + refer,
	}
	for how, refusal := range refusals {
		keeps[how] = hostTrigger("DELETE", "events", "old.seq <= 8", refusal)
	}
	for name, kept := range keeps {
		t.Run(name, func(t *testing.T) {
			fillEvents(t, pool, 12)
			exec(t, pool, kept)
			defer exec(t, pool, `DROP TRIGGER IF EXISTS host ON dormouse.events; DROP FUNCTION IF EXISTS keeps; DROP TABLE IF EXISTS host`)
			var log bytes.Buffer
			s, err := postgres.New(pool, postgres.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			must(t, err)
			var gone []int64
			for range 4 {
				some := pruneEvents(t, s, 3)
				if len(some) > 3 || !slices.IsSorted(some) {
					t.Errorf("pruned %d", some)
				}
				gone = append(gone, some...)
			}
			slices.Sort(gone)
			if want := []int64{9, 10, 11, 12}; !slices.Equal(gone, want) || count(t, pool, "events") != 8 {
				t.Errorf("pruned %d, want %d", gone, want)
			}
			if said := strings.Contains(log.String(), "rows cannot be pruned") && strings.Contains(log.String(), "what=event"); said == (name == "says nothing") {
				t.Errorf("the log says what the host says: %t\n%s", said, &log)
			}
		})
	}
}

// Fewer events than the limit mean that nothing is left, also where some cannot be read; those that do not say how old they are stay.
func TestPruneEventsThatCannotBeRead(t *testing.T) {
	s, pool := open(t)
	fillEvents(t, pool, 12)
	exec(t, pool, `UPDATE dormouse.events SET body = jsonb_set(body::jsonb, '{topic}', '"of a later version"') WHERE seq IN (1, 2, 5)`)
	exec(t, pool, `UPDATE dormouse.events SET body = jsonb_set(body::jsonb, '{at}', '"a day of spring"') WHERE seq IN (3, 4, 7, 8, 9)`)
	if gone := pruneEvents(t, s, 3); len(gone) != 3 {
		t.Errorf("pruned %d, want 3", gone)
	}
	if gone := pruneEvents(t, s, 3); len(gone) != 1 {
		t.Errorf("pruned %d, want the last one", gone)
	}
	if n := count(t, pool, "events"); n != 5 {
		t.Errorf("%d events are left, want those without an age", n)
	}
}

// Pruning reads what waits in other topics in no case, and of its own what it removes, and as much that is younger.
func TestPruningEventsReadsNoOtherTopic(t *testing.T) {
	_, pool := open(t)
	exec(t, pool, `ALTER TABLE dormouse.events SET (autovacuum_enabled = off)`)
	exec(t, pool, `INSERT INTO dormouse.events (topic, workspace_id, body, free_at)
		SELECT 2, gen_random_uuid(), '{}', CASE WHEN n % 3 = 0 THEN $1::timestamptz END FROM generate_series(1, 20000) n`, epoch)
	exec(t, pool, `INSERT INTO dormouse.events (topic, workspace_id, body, free_at)
		SELECT 0, gen_random_uuid(), json_build_object('at', CASE WHEN n <= 60 THEN '2026-03-02T08:00:00Z' ELSE '2026-03-03T08:00:00Z' END),
			CASE WHEN n % 3 = 0 THEN $1::timestamptz END FROM generate_series(1, 2000) n`, epoch)
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			exec(t, pool, `ANALYZE dormouse.events`)
		}
		single := alone(t, pool)
		s := over(t, single)
		for range 2 { // the first one reads the catalog
			before, err := eventReads(t, single)
			must(t, err)
			if n := len(pruneEvents(t, s, 10)); n != 10 {
				t.Errorf("%d events are pruned, want 10", n)
			}
			after, err := eventReads(t, single)
			must(t, err)
			if n := after - before; n > 3000 {
				t.Errorf("analyzed %t: pruning 10 events read %d", analyzed, n)
			}
		}
	}
}
