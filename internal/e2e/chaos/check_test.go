package chaos_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// checkSchema is what the replicas write besides, and what the checker sees: every build with the one before it, and the
// first occurrence of the workspace's schedule after it. The checker knows the schedules from the names of the workspaces
// and computes with seconds; it shares no code with what it checks.
const checkSchema = `
	CREATE SCHEMA chaos;
	CREATE TABLE chaos.delivered (
		n bigint GENERATED ALWAYS AS IDENTITY, workspace_id uuid NOT NULL, revision bigint NOT NULL, kind text NOT NULL, build bigint NOT NULL,
		due_at timestamptz);
	CREATE TABLE chaos.ran (
		n bigint GENERATED ALWAYS AS IDENTITY, job_id uuid NOT NULL, fence bigint NOT NULL, process_id uuid NOT NULL, PRIMARY KEY (job_id, fence));
	CREATE VIEW chaos.every_build AS
		SELECT workspace_id, number, id, transition, reason, status, created_at, completed_at, deadline, due_at FROM dormouse.builds
		UNION ALL
		SELECT id, build_number, build_id, build_transition, build_reason, build_status, build_created_at, build_completed_at, build_deadline,
			build_due_at
		FROM dormouse.workspaces;
	-- After a stop by hand occurrences count from its making. After an automatic one they count from the instant at which it was
	-- due, that instant included, however late it was made.
	CREATE FUNCTION chaos.rested(created_at timestamptz, due_at timestamptz) RETURNS timestamptz LANGUAGE sql AS $$
		SELECT coalesce(due_at - interval '1 microsecond', created_at)
	$$;
	CREATE FUNCTION chaos.occurrence(name text, after timestamptz) RETURNS timestamptz LANGUAGE sql AS $$
		SELECT to_timestamp((floor((extract(epoch FROM after) - m) / 1200) + 1) * 1200 + m)
		FROM (SELECT 60 * substring(name FROM 3)::numeric AS m) AS minute
	$$;
	CREATE VIEW chaos.steps AS
		SELECT b.*, w.name,
			lag(b.number) OVER o AS before, lag(b.transition) OVER o AS was,
			chaos.rested(lag(b.created_at) OVER o, lag(b.due_at) OVER o) AS was_rested, lag(b.completed_at) OVER o AS was_completed, lag(b.deadline) OVER o AS was_deadline,
			lead(b.number) OVER o AS after
		FROM chaos.every_build b JOIN dormouse.workspaces w ON w.id = b.workspace_id
		WINDOW o AS (PARTITION BY b.workspace_id ORDER BY b.number);
	CREATE VIEW chaos.told AS
		SELECT workspace_id, revision, kind, build, due_at FROM chaos.delivered
		UNION
		SELECT workspace_id, (body->>'revision')::bigint, body->>'kind', coalesce((body->>'build_number')::bigint, 0),
			(body->>'due_at')::timestamptz
		FROM dormouse.events;
`

// laws are queries that count what must not be. $1 is the instant of the last tick, in the world of the replicas.
var laws = map[string]string{
	"a gap in the numbers of a workspace's builds": `
		SELECT count(*) FROM (SELECT FROM chaos.every_build GROUP BY workspace_id HAVING count(*) <> max(number) OR min(number) <> 1) x`,
	"two builds with one id": `
		SELECT count(*) FROM (SELECT FROM chaos.every_build GROUP BY id HAVING count(*) > 1) x`,
	"a transition done twice in a row":                `SELECT count(*) FROM chaos.steps WHERE transition = was`,
	"a transition that is neither a start nor a stop": `SELECT count(*) FROM chaos.steps WHERE transition NOT IN (1, 2)`,
	// Late is allowed, but then for the occurrence that was next: none is passed over for a later one.
	"a transition for another instant than the next at which one was due": `
		SELECT count(*) FROM chaos.steps s
		WHERE s.before IS NOT NULL
		AND s.due_at IS DISTINCT FROM CASE WHEN s.transition = 1 THEN chaos.occurrence(s.name, s.was_rested) ELSE s.was_deadline END`,
	// One that was refused and postponed is told to have been due when its pause was over.
	"a transition told to have been due at another time than it was": `
		SELECT count(*) FROM chaos.steps s JOIN chaos.told t ON t.workspace_id = s.workspace_id AND t.build = s.number
		WHERE t.kind = 'build.queued' AND s.before IS NOT NULL AND NOT t.due_at BETWEEN s.due_at AND s.created_at`,
	"a start before its time, or while the stop before it was on its way": `
		SELECT count(*) FROM chaos.steps WHERE transition = 1
		AND (created_at < chaos.occurrence(name, was_rested) OR created_at < was_completed - interval '1 minute')`,
	"a stop before the deadline": `
		SELECT count(*) FROM chaos.steps WHERE transition = 2 AND number > 1 AND (created_at < was_deadline OR was_deadline IS NULL)`,
	// A workspace that runs at its next time of start runs as if it had been started then.
	"a deadline that is not five minutes after the start": `
		SELECT count(*) FROM chaos.steps WHERE transition = 1 AND completed_at IS NOT NULL AND deadline IS DISTINCT FROM interval '5 minutes' +
			CASE WHEN chaos.occurrence(name, completed_at) < completed_at + interval '5 minutes'
				THEN chaos.occurrence(name, completed_at) ELSE completed_at END`,
	"a start that was due at the end and is missing": `
		SELECT count(*) FROM chaos.steps WHERE after IS NULL AND transition = 2 AND status = 4 AND chaos.occurrence(name, chaos.rested(created_at, due_at)) <= $1`,
	"a stop that was due at the end and is missing": `
		SELECT count(*) FROM chaos.steps WHERE after IS NULL AND transition = 1 AND status = 4 AND deadline <= $1`,
	"a build that never ended": `SELECT count(*) FROM chaos.every_build WHERE status <> 4`,
	"a build without its job":  `SELECT count(*) FROM chaos.every_build b WHERE NOT EXISTS (SELECT FROM dormouse.jobs j WHERE j.id = b.id)`,
	"a job without its build":  `SELECT count(*) FROM dormouse.jobs j WHERE NOT EXISTS (SELECT FROM chaos.every_build b WHERE j.id = b.id)`,
	"a job that never ended":   `SELECT count(*) FROM dormouse.jobs WHERE state <> 2`,
	"a job that nobody ran":    `SELECT count(*) FROM dormouse.jobs j WHERE NOT EXISTS (SELECT FROM chaos.ran r WHERE r.job_id = j.id AND r.fence = j.fence)`,
	"a fence that did not rise": `
		SELECT count(*) FROM (SELECT fence <= lag(fence) OVER (PARTITION BY job_id ORDER BY n) AS fell FROM chaos.ran) x WHERE fell`,
	"a build whose event is lost": `
		SELECT count(*) FROM chaos.every_build b WHERE number > 1 AND NOT EXISTS (
			SELECT FROM chaos.told t WHERE t.workspace_id = b.workspace_id AND t.build = b.number AND t.kind = 'build.queued')`,
	"an end whose event is lost": `
		SELECT count(*) FROM chaos.every_build b WHERE completed_at IS NOT NULL AND NOT EXISTS (
			SELECT FROM chaos.told t WHERE t.workspace_id = b.workspace_id AND t.build = b.number AND t.kind = 'build.succeeded')`,
	"an event of a build that does not exist": `
		SELECT count(*) FROM chaos.told t WHERE kind LIKE 'build.%' AND NOT EXISTS (
			SELECT FROM chaos.every_build b WHERE b.workspace_id = t.workspace_id AND b.number = t.build)`,
	"two events for one build": `
		SELECT count(*) FROM (SELECT FROM chaos.told WHERE kind = 'build.queued' GROUP BY workspace_id, build HAVING count(*) > 1) x`,
	"events of a workspace first delivered out of order": `
		SELECT count(*) FROM (
			SELECT revision < lag(revision) OVER (PARTITION BY workspace_id ORDER BY n) AS early
			FROM (SELECT workspace_id, revision, min(n) AS n FROM chaos.delivered GROUP BY workspace_id, revision) f) x WHERE early`,
	"an event that waits after the end": `SELECT count(*) FROM dormouse.events`,
}

// check holds the laws against the database.
func check(t *testing.T, pool *pgxpool.Pool, last time.Time) {
	t.Helper()
	for law, query := range laws {
		args := []any{}
		if law == "a start that was due at the end and is missing" || law == "a stop that was due at the end and is missing" {
			args = append(args, last)
		}
		var broken int
		if err := pool.QueryRow(t.Context(), query, args...).Scan(&broken); err != nil {
			t.Fatalf("%s: %v", law, err)
		}
		if broken > 0 {
			t.Errorf("%s: %d times", law, broken)
			show(t, pool, query)
		}
	}
}

// show logs some of the steps that break a law, with all that is known of them.
func show(t *testing.T, pool *pgxpool.Pool, query string) {
	t.Helper()
	const count, of = "SELECT count(*)", " FROM chaos.steps s"
	if !strings.Contains(query, count+of) {
		return
	}
	rows, err := pool.Query(t.Context(), strings.Replace(query, count, "SELECT to_jsonb(s)::text", 1)+" LIMIT 5")
	if err != nil {
		t.Log(err)
		return
	}
	steps, err := pgx.CollectRows(rows, pgx.RowTo[string])
	t.Log(err, strings.Join(steps, "\n"))
}
