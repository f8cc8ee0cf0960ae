package handoff_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// books are written by the database itself: a trigger keeps every change of a job's state, fence or holder, whatever
// statement made it. The order of the changes of one job is that of seq, since its row was locked.
const books = `
	CREATE SCHEMA handoff;
	CREATE TABLE handoff.log (
		seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, job uuid NOT NULL,
		before smallint NOT NULL, after smallint NOT NULL, fence_before bigint NOT NULL, fence bigint NOT NULL,
		process uuid, lost boolean NOT NULL, released boolean NOT NULL, error text NOT NULL,
		at timestamptz NOT NULL DEFAULT clock_timestamp()
	);
	CREATE INDEX ON handoff.log (job, seq);
	CREATE TABLE handoff.work (
		job uuid NOT NULL, fence bigint NOT NULL, process uuid NOT NULL,
		worker uuid NOT NULL DEFAULT gen_random_uuid(), most int NOT NULL DEFAULT 1, -- the release before does not say
		at timestamptz NOT NULL DEFAULT clock_timestamp());
	CREATE TABLE handoff.gone (job uuid NOT NULL, fence bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
	CREATE TABLE handoff.planes (address text PRIMARY KEY);
	CREATE TABLE handoff.verdicts (job uuid NOT NULL, fence bigint NOT NULL);
	CREATE TABLE handoff.promised (job uuid NOT NULL);
	CREATE TABLE handoff.calm (process text PRIMARY KEY);
	CREATE FUNCTION handoff.note() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO handoff.log (job, before, after, fence_before, fence, process, lost, released, error)
		VALUES (NEW.id, OLD.state, NEW.state, OLD.fence, NEW.fence, NEW.process_id,
			EXISTS (SELECT FROM dormouse.processes p WHERE p.id = NEW.process_id AND p.lost_at IS NOT NULL),
			NEW.attempt < OLD.attempt, NEW.error);
		RETURN NULL;
	END $$;
	CREATE TRIGGER note AFTER UPDATE ON dormouse.jobs FOR EACH ROW
		WHEN ((OLD.state, OLD.fence, OLD.process_id) IS DISTINCT FROM (NEW.state, NEW.fence, NEW.process_id))
		EXECUTE FUNCTION handoff.note()`

// law is a query that returns a row for each breach.
type law struct {
	name, breach string
	// tamper is a change after which it must return one.
	tamper string
}

var laws = []law{
	{
		"a job is claimed only when nobody holds it",
		`SELECT job FROM handoff.log WHERE fence <> fence_before AND before <> 0`,
		`UPDATE handoff.log SET before = 1 WHERE fence <> fence_before`,
	}, {
		"a claim turns a pending job running and raises its fence, and nothing else does",
		`SELECT job FROM handoff.log WHERE (before = 0 AND after = 1) <> (fence <> fence_before)`,
		`UPDATE handoff.log SET fence = fence_before WHERE after = 1`,
	}, {
		"every fencing number is one higher than the last, from the first claim on",
		`SELECT job FROM (
			SELECT job, fence, fence_before, lag(fence, 1, 0::bigint) OVER (PARTITION BY job ORDER BY seq) AS last FROM handoff.log
		) l WHERE fence_before <> last OR fence NOT IN (last, last + 1)`,
		`UPDATE handoff.log SET fence_before = 7, fence = 8 WHERE after = 1`,
	}, {
		"no change is missing from the books",
		`SELECT id FROM dormouse.jobs j WHERE fence <> (SELECT count(*) FROM handoff.log WHERE job = j.id AND before = 0 AND after = 1)`,
		`UPDATE dormouse.jobs SET fence = fence + 1`,
	}, {
		"nobody takes a job in the name of a lost process",
		`SELECT job FROM handoff.log WHERE after = 1 AND lost`,
		`UPDATE handoff.log SET lost = true`,
	}, {
		"what is over stays over",
		`SELECT job FROM handoff.log WHERE before > 1`,
		`UPDATE handoff.log SET before = 2 WHERE after = 2`,
	}, {
		"no job is lost: each one that was stored has ended, and well",
		`SELECT id FROM dormouse.jobs WHERE state <> 2`,
		`UPDATE dormouse.jobs SET state = 0, ended_at = NULL`,
	}, {
		"what was promised is stored",
		`SELECT job FROM handoff.promised WHERE job NOT IN (SELECT id FROM dormouse.jobs)`,
		`INSERT INTO handoff.promised VALUES (gen_random_uuid())`,
	}, {
		"one lease, one run",
		`SELECT job FROM handoff.work GROUP BY job, fence HAVING count(*) > 1`,
		`INSERT INTO handoff.work SELECT * FROM handoff.work`,
	}, {
		"nobody works without a claim",
		`SELECT job FROM handoff.work w WHERE NOT EXISTS (
			SELECT FROM handoff.log l WHERE l.job = w.job AND l.fence = w.fence AND l.process = w.process AND l.after = 1)`,
		`UPDATE handoff.work SET process = gen_random_uuid()`,
	}, {
		"no worker has begun more than it may repeat: a job in each slot, and as many as may be on their way to their end. " +
			"What it takes for lost is repeated as it is",
		`SELECT w.job FROM handoff.work w WHERE most < (
			SELECT count(*) FROM handoff.work x WHERE x.worker = w.worker AND x.at <= w.at AND NOT EXISTS (
				SELECT FROM handoff.log l WHERE l.job = x.job AND l.fence_before = x.fence AND l.before = 1 AND l.after <> 1 AND l.at <= w.at
			) AND NOT EXISTS (SELECT FROM handoff.gone g WHERE g.job = x.job AND g.fence = x.fence AND g.at <= w.at))`,
		`UPDATE handoff.work SET most = 0`,
	}, {
		"no attempt is taken from its worker without a verdict",
		`SELECT job FROM handoff.log l WHERE before = 1 AND after = 0 AND NOT released
			AND error ~ '(was lost|went silent|could not be stored|was given it|did not stop)'
			AND NOT EXISTS (SELECT FROM handoff.verdicts v WHERE v.job = l.job AND v.fence = l.fence)`,
		`DELETE FROM handoff.verdicts`,
	}, {
		"a result is of the last lease, which did the work",
		`SELECT id FROM dormouse.jobs j WHERE convert_from(result, 'UTF8') IS DISTINCT FROM fence::text
			OR NOT EXISTS (SELECT FROM handoff.work w WHERE w.job = j.id AND w.fence = j.fence)`,
		`UPDATE dormouse.jobs SET result = '0'`,
	}, {
		"no limit is exceeded, at any time",
		`SELECT seq FROM (
			SELECT l.seq, sum((l.after = 1)::int - (l.before = 1)::int) OVER (ORDER BY l.seq) AS running
			FROM handoff.log l JOIN dormouse.jobs j ON j.id = l.job WHERE j.type = 'scarce'
		) s WHERE running > ` + scarceText,
		`UPDATE handoff.log SET before = 0`,
	},
}

const scarceText = "2" // scarce, for the query

// breaches counts the breaches of a law.
func (l law) breaches(ctx context.Context, t *testing.T, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) (n int) {
	t.Helper()
	if err := db.QueryRow(ctx, `SELECT count(*) FROM (`+l.breach+`) breach`).Scan(&n); err != nil {
		t.Fatalf("%s: %v", l.name, err)
	}
	return n
}

func check(ctx context.Context, t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for _, l := range laws {
		if n := l.breaches(ctx, t, pool); n > 0 {
			t.Errorf("broken %d times: %s", n, l.name)
		}
	}
}
