package postgres

import (
	"fmt"
	"strings"
)

// commitSQL applies a batch of changes in one statement, which testdata/commit.sql shows as a whole. Its steps, each a
// query of its own:
//
//   - held locks the workspaces, in the order of their ids and before anything is written, and sees their newest rows. A row
//     that somebody else holds is left out: a commit that is about to change it makes this change a conflict anyway, and a
//     session that was left open would keep every tick of every replica waiting.
//   - matched are the changes whose revision is still the right one; all others are conflicts.
//   - bad are matched changes that lifecycle.Change.Validate refuses. If there are any, nothing below writes.
//   - archived moves the builds that are replaced into their own table, done writes the workspaces, emitted the events.
//   - The rest numbers the jobs and queues them (see turnAtOnceSQL).
//
// Its parameters are those of changeColumns, eventColumns and buildJobColumns.
//
// commitPassingSQL leaves the first numbers of tenants to others, for when somebody holds one.
var (
	commitSQL        = commitBy(turnAtOnceSQL)
	commitPassingSQL = commitBy(turnPassingSQL)
)

func commitBy(turn string) string {
	return matchSQL + `, archived AS (
		INSERT INTO dormouse.builds (workspace_id,` + buildColumns.names("") + `)
		SELECT id,` + buildColumns.names("old_build_") + `
		FROM matched
		WHERE new_build AND old_build_number > 0 AND NOT EXISTS (SELECT FROM bad)
		RETURNING 1
	)` + doneSQL + `, told AS (
		SELECT e.*
		FROM ` + eventColumns.rows(1+len(changeColumns), "e", "n") + `
		JOIN done d ON d.id = e.workspace_id
	), emitted AS (
		INSERT INTO dormouse.events (workspace_id, topic, body)
		SELECT workspace_id, topic, body::json FROM told ORDER BY n
		RETURNING 1
	), wanted AS (
		SELECT j.*
		FROM ` + buildJobColumns.rows(1+len(changeColumns)+len(eventColumns), "j", "n") + `
		JOIN done d ON d.id = j.workspace_id
	)` + turn + `, queued AS (` + insertJobsSQL(queuedColumns) + ` RETURNING j.id)` + appliedSQL +
		leftOutSQL("builds", 2, `FROM matched
		WHERE new_build AND old_build_number > 0 AND NOT EXISTS (SELECT FROM bad)
		HAVING count(*) > (SELECT count(*) FROM archived)`) +
		leftOutSQL("events", 2, `FROM told HAVING count(*) > (SELECT count(*) FROM emitted)`) +
		leftOutSQL("jobs", 2, `FROM wanted w
		WHERE w.id NOT IN (SELECT id FROM queued) AND NOT EXISTS (SELECT FROM dormouse.jobs x WHERE x.id = w.id)
		HAVING count(*) > 0`)
}

// touchSQL is commitSQL for batches without new builds, events and jobs: re-arming, activity, a job that has started or
// ended where nobody wants to know. Its parameters are those of changeColumns.
var touchSQL = matchSQL + doneSQL + appliedSQL

var matchSQL = `
	WITH change AS (
		SELECT * FROM ` + changeColumns.rows(1, "c", "") + `
	), held AS (
		SELECT id, revision,` + latestColumns.names("") + `
		FROM dormouse.workspaces
		WHERE id = ANY ($1)
		ORDER BY id
		FOR NO KEY UPDATE SKIP LOCKED
	), matched AS (
		SELECT c.*,` + latestColumns.as("h.", "old_") + `
		FROM change c JOIN held h ON h.id = c.id AND h.revision = c.revision
	), bad AS (
		SELECT id, old_build_number, old_build_status
		FROM matched
		WHERE new_build AND (build_number <> old_build_number + 1 OR old_build_status BETWEEN 1 AND 3)
			OR NOT new_build AND build_number NOT IN (0, old_build_number)
			OR build_number > 0 AND build_max_deadline IS NOT NULL
				AND (build_deadline IS NULL OR build_deadline > build_max_deadline)
	)`

var doneSQL = `, done AS (
		UPDATE dormouse.workspaces w SET
			revision = w.revision + 1, wake_at = m.wake_at,` +
	writtenColumns.set("m.%") + `,` +
	latestColumns.set("CASE m.build_number WHEN 0 THEN w.% ELSE m.% END") + `
		FROM matched m
		WHERE w.id = m.id AND w.revision = m.revision AND NOT EXISTS (SELECT FROM bad)
		RETURNING w.id
	)`

var appliedSQL = `
	SELECT id, NULL::bigint, NULL::smallint FROM done
	UNION ALL
	SELECT id, old_build_number, old_build_status FROM bad` +
	leftOutSQL("workspaces", 2, `FROM matched WHERE NOT EXISTS (SELECT FROM bad) HAVING count(*) > (SELECT count(*) FROM done)`)

// leftOutSQL ends a statement, whose rows are an id and so many columns more, with an error if it was to write rows that were left
// out: a trigger of the host does that without a word when it returns NULL. A workspace would be due for ever and never in the way, a
// build would have no job. The error is the one that the server makes of a text that is no id.
func leftOutSQL(rows string, columns int, missing string) string {
	return `
	UNION ALL
	SELECT ` + keptSQL(rows, "count(*)") + `::uuid` + strings.Repeat(", NULL", columns) + ` ` + missing
}

// leftOut is such an error where it is seen by what a statement did not do.
func leftOut(what string) error { return fmt.Errorf("a trigger keeps %s from being written", what) }

// removeSQL deletes the row that a condition describes, and returns a row if it did.
func removeSQL(table, condition string) string {
	return `
	WITH old AS (
		SELECT 1 FROM dormouse.` + table + ` WHERE ` + condition + ` FOR UPDATE
	), gone AS (
		DELETE FROM dormouse.` + table + ` WHERE ` + condition + ` AND EXISTS (SELECT FROM old) RETURNING 1
	)
	SELECT NULL::uuid FROM gone` + leftOutSQL(table, 0, `FROM old HAVING count(*) > (SELECT count(*) FROM gone)`)
}

// keptSQL is the text of such an error; count is an expression that the server cannot evaluate before it has to.
func keptSQL(rows, count string) string {
	return `('a trigger kept ' || ` + count + ` || ' ` + rows + ` from being written')`
}
