package postgres_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// No transaction of the pruning deletes more lines than a bound, whether they are of one job or of many.
func TestPruningInParts(t *testing.T) {
	s, pool := open(t)
	expire(t, s, epoch, slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, 10))
	exec(t, pool, `UPDATE dormouse.jobs SET lines = CASE WHEN id = (SELECT min(id::text)::uuid FROM dormouse.jobs) THEN 25000 ELSE 4000 END`)
	exec(t, pool, `INSERT INTO dormouse.job_lines (job_id, seq, at, text)
		SELECT j.id, n, j.created_at, 'x' FROM dormouse.jobs j, generate_series(1, j.lines) AS n`)
	exec(t, pool, `CREATE TABLE deleted (tx xid8, n bigint)`)
	exec(t, pool, `CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO public.deleted SELECT pg_current_xact_id(), count(*) FROM gone; RETURN NULL; END $$`)
	exec(t, pool, `CREATE TRIGGER note AFTER DELETE ON dormouse.job_lines REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note()`)
	pruned, err := s.PruneJobs(t.Context(), epoch.Add(time.Hour), 100)
	must(t, err)
	var all, most int
	must(t, pool.QueryRow(t.Context(), `SELECT sum(n), max(n) FROM (SELECT sum(n) AS n FROM deleted GROUP BY tx) d`).Scan(&all, &most))
	if pruned != 10 || all != 61_000 || most > 10_000 {
		t.Errorf("%d jobs and %d lines deleted, at most %d at once; want 10, 61,000 and at most 10,000", pruned, all, most)
	}
}

// A job that something of the host keeps has its whole log, however long it is, and one beside it goes.
func TestPruningKeepsTheLogOfAJobThatStays(t *testing.T) {
	for what, c := range map[string]struct{ keep, give string }{
		"reference": {
			`CREATE TABLE host_runs (job_id uuid REFERENCES dormouse.jobs (id)); INSERT INTO host_runs SELECT id FROM dormouse.jobs ORDER BY id LIMIT 1`,
			`DROP TABLE host_runs`,
		},
		"reference to a line": {
			`CREATE TABLE host_lines (job_id uuid, seq bigint, FOREIGN KEY (job_id, seq) REFERENCES dormouse.job_lines);
			 INSERT INTO host_lines SELECT id, 11000 FROM dormouse.jobs ORDER BY id LIMIT 1`,
			`DROP TABLE host_lines`,
		},
		"trigger": {
			`CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF old.id = (SELECT id FROM dormouse.jobs ORDER BY id LIMIT 1) THEN RAISE 'kept'; END IF; RETURN old; END $$;
			 CREATE TRIGGER keeps BEFORE DELETE ON dormouse.jobs FOR EACH ROW EXECUTE FUNCTION keeps()`,
			`DROP TRIGGER keeps ON dormouse.jobs`,
		},
		"trigger for each statement": {
			`CREATE TABLE host_keeps AS SELECT id FROM dormouse.jobs ORDER BY id LIMIT 1;
			 CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF EXISTS (SELECT FROM gone JOIN public.host_keeps USING (id)) THEN RAISE 'kept'; END IF; RETURN NULL; END $$;
			 CREATE TRIGGER keeps AFTER DELETE ON dormouse.jobs REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION keeps()`,
			`DROP TRIGGER keeps ON dormouse.jobs`,
		},
		"trigger that says nothing": {
			`CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF old.id = (SELECT id FROM dormouse.jobs ORDER BY id LIMIT 1) THEN RETURN NULL; END IF; RETURN old; END $$;
			 CREATE TRIGGER keeps BEFORE DELETE ON dormouse.jobs FOR EACH ROW EXECUTE FUNCTION keeps()`,
			`DROP TRIGGER keeps ON dormouse.jobs`,
		},
	} {
		t.Run(what, func(t *testing.T) {
			s, pool := open(t)
			expire(t, s, epoch, slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, 2))
			exec(t, pool, `UPDATE dormouse.jobs SET lines = 12000`)
			exec(t, pool, `INSERT INTO dormouse.job_lines (job_id, seq, at, text)
				SELECT j.id, n, j.created_at, 'x' FROM dormouse.jobs j, generate_series(1, j.lines) AS n`)
			exec(t, pool, c.keep)
			prune := func(want, lines int) {
				t.Helper()
				n, err := s.PruneJobs(t.Context(), epoch.Add(time.Hour), 100)
				must(t, err)
				var left int
				must(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM dormouse.job_lines`).Scan(&left))
				if n != want || left != lines {
					t.Errorf("%d jobs pruned, %d lines are left; want %d and %d", n, left, want, lines)
				}
			}
			prune(1, 12_000)
			prune(0, 12_000)
			exec(t, pool, c.give)
			prune(1, 0)
		})
	}
}

// Jobs with long logs go one by one, and no more of them than were asked for. Nothing is said of rows that cannot go where all can.
func TestPruningLongLogsOneByOne(t *testing.T) {
	_, pool := open(t)
	var said strings.Builder
	s, err := postgres.New(pool, postgres.Config{Logger: slog.New(slog.NewTextHandler(&said, nil))})
	must(t, err)
	expire(t, s, epoch, slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, 3))
	exec(t, pool, `UPDATE dormouse.jobs SET lines = 10001`)
	for want := 2; want >= 0; want-- {
		n, err := s.PruneJobs(t.Context(), epoch.Add(time.Hour), 1)
		must(t, err)
		if left := count(t, pool, "jobs"); n != 1 || left != want {
			t.Errorf("%d pruned, %d are left, want %d", n, left, want)
		}
	}
	if said.Len() > 0 {
		t.Errorf("the log says %s", said.String())
	}
}
