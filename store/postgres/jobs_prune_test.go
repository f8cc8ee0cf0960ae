package postgres_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// No transaction of the pruning deletes more lines than a bound, whether they are of one job or of many.
func TestPruningInParts(t *testing.T) {
	s, pool := open(t)
	expire(t, s, epoch, slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, 10))
	exec(t, pool, `UPDATE dormouse.jobs SET lines = CASE WHEN id = (SELECT min(id::text)::uuid FROM dormouse.jobs) THEN 15000 ELSE 4000 END`)
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
	if pruned != 10 || all != 51_000 || most > 10_000 {
		t.Errorf("%d jobs and %d lines deleted, at most %d at once; want 10, 51,000 and at most 10,000", pruned, all, most)
	}
}

// Jobs with long logs go one by one, and no more of them than were asked for.
func TestPruningLongLogsOneByOne(t *testing.T) {
	s, pool := open(t)
	expire(t, s, epoch, slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, 3))
	exec(t, pool, `UPDATE dormouse.jobs SET lines = 10001`)
	for want := 2; want >= 0; want-- {
		n, err := s.PruneJobs(t.Context(), epoch.Add(time.Hour), 1)
		must(t, err)
		if left := count(t, pool, "jobs"); n != 1 || left != want {
			t.Errorf("%d pruned, %d are left, want %d", n, left, want)
		}
	}
}
