package chaos_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// honest is the history of one workspace, due at minutes 5, 25 and 45, that breaks no law: it was stopped at the beginning,
// started at five, ran its five minutes and was stopped at eleven.
const honest = `
	INSERT INTO dormouse.owners VALUES (gen_random_uuid(), '', 0, '');
	INSERT INTO dormouse.templates (id, organization_id, name, active_version_id, policy)
		VALUES (gen_random_uuid(), gen_random_uuid(), '', gen_random_uuid(), '{}');
	INSERT INTO dormouse.workspaces (id, organization_id, owner_id, template_id, name, revision, wake_at, autostart, ttl_ns,
			automatic_updates, managed, deleted, failures, backoff_attempts, backoff_cause, backoff_message,
			build_id, build_number, build_version_id, build_transition, build_reason, build_status, build_created_at, build_completed_at, build_due_at)
		SELECT gen_random_uuid(), gen_random_uuid(), o.id, t.id, 'a=5', 6, '2026-03-02 00:25Z', '', 0,
			false, false, false, 0, 0, '', '',
			gen_random_uuid(), 3, t.active_version_id, 2, '', 4, '2026-03-02 00:11Z', '2026-03-02 00:11:10Z', '2026-03-02 00:10:10Z'
		FROM dormouse.owners o, dormouse.templates t;
	INSERT INTO dormouse.builds (workspace_id, number, id, version_id, transition, reason, status, created_at, completed_at, deadline, due_at)
		SELECT w.id, b.number, gen_random_uuid(), w.build_version_id, b.transition, '', 4, b.created_at::timestamptz, b.completed_at::timestamptz,
			b.deadline::timestamptz, b.due_at::timestamptz
		FROM dormouse.workspaces w, (VALUES
			(1, 2, '2026-03-02 00:00Z', '2026-03-02 00:00:10Z', NULL, NULL),
			(2, 1, '2026-03-02 00:05Z', '2026-03-02 00:05:10Z', '2026-03-02 00:10:10Z', '2026-03-02 00:05Z'))
			AS b (number, transition, created_at, completed_at, deadline, due_at);
	INSERT INTO dormouse.jobs (id, organization_id, tenant_id, type, tag_set, priority, weight, trace, place, ready_at, ready, state, ended_at, fence)
		SELECT id, workspace_id, workspace_id, '', 1, 0, 1, '', 1, created_at, false, 2, completed_at, 1 FROM chaos.every_build;
	INSERT INTO chaos.ran (job_id, fence, process_id) SELECT id, 1, id FROM dormouse.jobs;
	INSERT INTO chaos.delivered (workspace_id, revision, kind, build, due_at)
		SELECT workspace_id, 2 * number - 1, 'build.queued', number, CASE number WHEN 2 THEN '2026-03-02 00:05Z' ELSE '2026-03-02 00:10:10Z' END::timestamptz
		FROM chaos.every_build WHERE number > 1
		UNION ALL SELECT workspace_id, 2 * number, 'build.succeeded', number, NULL FROM chaos.every_build
		ORDER BY 2;
`

// honestEnd is an instant at which nothing is due in that history.
var honestEnd = worldBegin.Add(20 * time.Minute)

// tampers break each law.
var tampers = map[string]string{
	"a gap in the numbers of a workspace's builds":                        `DELETE FROM dormouse.builds WHERE number = 2`,
	"two builds with one id":                                              `UPDATE dormouse.builds SET id = (SELECT build_id FROM dormouse.workspaces) WHERE number = 2`,
	"a transition done twice in a row":                                    `UPDATE dormouse.builds SET transition = 1 WHERE number = 1`,
	"a transition that is neither a start nor a stop":                     `UPDATE dormouse.workspaces SET build_transition = 3`,
	"a transition for another instant than the next at which one was due": `UPDATE dormouse.builds SET due_at = due_at + interval '20 minutes' WHERE number = 2`,
	"a transition told to have been due at another time than it was":      `UPDATE chaos.delivered SET due_at = due_at + interval '20 minutes' WHERE build = 2`,
	"a start before its time, or while the stop before it was on its way": `UPDATE dormouse.builds SET created_at = '2026-03-02 00:04:59Z' WHERE number = 2`,
	"a stop before the deadline":                                          `UPDATE dormouse.builds SET deadline = '2026-03-02 00:11:01Z' WHERE number = 2`,
	"a deadline that is not five minutes after the start":                 `UPDATE dormouse.builds SET deadline = '2026-03-02 00:10:11Z' WHERE number = 2`,
	"a start that was due at the end and is missing":                      `UPDATE dormouse.workspaces SET build_due_at = '2026-03-02 00:04Z'`,
	"a stop that was due at the end and is missing":                       `UPDATE dormouse.workspaces SET build_transition = 1, build_deadline = '2026-03-02 00:16:10Z'`,
	"a build that never ended":                                            `UPDATE dormouse.workspaces SET build_status = 1`,
	"a build without its job":                                             `DELETE FROM dormouse.jobs WHERE id = (SELECT id FROM dormouse.builds WHERE number = 2)`,
	"a job without its build":                                             `UPDATE dormouse.builds SET id = gen_random_uuid() WHERE number = 2`,
	"a job that never ended":                                              `UPDATE dormouse.jobs SET state = 1, ended_at = NULL, process_id = id WHERE id = (SELECT build_id FROM dormouse.workspaces)`,
	"a job that nobody ran":                                               `UPDATE dormouse.jobs SET fence = 2 WHERE id = (SELECT build_id FROM dormouse.workspaces)`,
	"a fence that did not rise":                                           `INSERT INTO chaos.ran (job_id, fence, process_id) SELECT build_id, 0, id FROM dormouse.workspaces`,
	"a build whose event is lost":                                         `DELETE FROM chaos.delivered WHERE kind = 'build.queued' AND build = 3`,
	"an end whose event is lost":                                          `DELETE FROM chaos.delivered WHERE kind = 'build.succeeded' AND build = 2`,
	"an event of a build that does not exist": `INSERT INTO chaos.delivered (workspace_id, revision, kind, build)
		SELECT id, 9, 'build.queued', 4 FROM dormouse.workspaces`,
	"two events for one build": `INSERT INTO chaos.delivered (workspace_id, revision, kind, build)
		SELECT id, 9, 'build.queued', 3 FROM dormouse.workspaces`,
	"events of a workspace first delivered out of order": `INSERT INTO chaos.delivered (workspace_id, revision, kind, build)
		SELECT id, 1, 'build.queued', 1 FROM dormouse.workspaces`,
	"an event that waits after the end": `INSERT INTO dormouse.events (workspace_id, topic, body) SELECT id, 0, '{}' FROM dormouse.workspaces`,
}

// TestChecker sees that an honest history breaks no law, and that each law notices when it is broken.
func TestChecker(t *testing.T) {
	pool := pgtest.Pool(t)
	for _, text := range []string{checkSchema, honest} {
		if _, err := pool.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	check(t, pool, honestEnd)
	for law, query := range laws {
		t.Run(law, func(t *testing.T) {
			tx, err := pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback(t.Context()) //nolint:errcheck // nothing of it is to stay
			if _, err := tx.Exec(t.Context(), tampers[law]); err != nil {
				t.Fatal(err)
			}
			if broken(t, tx, query) == 0 {
				t.Error("the law does not notice that it is broken")
			}
		})
	}
}

func broken(t *testing.T, tx pgx.Tx, query string) (n int) {
	t.Helper()
	var args []any
	if strings.Contains(query, "$1") {
		args = append(args, honestEnd)
	}
	if err := tx.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
