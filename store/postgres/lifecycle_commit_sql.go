package postgres

// commitSQL applies a batch of changes in one statement. Its steps, each a query of its own:
//
//   - held locks the workspaces, in the order of their ids and before anything is written, and sees their newest rows.
//   - matched are the changes whose revision is still the right one; all others are conflicts.
//   - bad are matched changes that lifecycle.Change.Validate refuses. If there are any, nothing below writes.
//   - archived moves the builds that are replaced into their own table, done writes the workspaces, told the events.
//   - The rest numbers the jobs and queues them (see turnAtOnceSQL).
//
// $1 to $31 are the changes, $32 to $34 the events, the rest the jobs.
const commitSQL = matchSQL + `, archived AS (
		INSERT INTO dormouse.builds (workspace_id, number, id, version_id, transition, reason, status,
			created_at, completed_at, deadline, max_deadline)
		SELECT id, old_number, old_id, old_version_id, old_transition, old_reason, old_status,
			old_created_at, old_completed_at, old_deadline, old_max_deadline
		FROM matched
		WHERE new_build AND old_number > 0 AND NOT EXISTS (SELECT FROM bad)
	)` + doneSQL + `, told AS (
		INSERT INTO dormouse.events (workspace_id, topic, body)
		SELECT d.id, e.topic, e.body::json
		FROM unnest($32::uuid[], $33::smallint[], $34::text[]) WITH ORDINALITY AS e (workspace_id, topic, body, n)
		JOIN done d ON d.id = e.workspace_id
		ORDER BY e.n
	), wanted AS (
		SELECT j.*
		FROM ` + jobsFrom35 + `
		JOIN done d ON d.id = j.workspace_id
	)` + turnAtOnceSQL + `, queued AS (` + insertJobsSQL + `)` + appliedSQL

// touchSQL is commitSQL for batches without new builds, events and jobs: re-arming, activity, a job that has started or ended
// where nobody is told. It takes the first 31 parameters.
const touchSQL = matchSQL + doneSQL + appliedSQL

const matchSQL = `
	WITH change AS (
		SELECT * FROM unnest(
			$1::uuid[], $2::bigint[], $3::boolean[],
			$4::timestamptz[], $5::text[], $6::timestamptz[], $7::bigint[], $8::timestamptz[],
			$9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[],
			$13::boolean[], $14::boolean[], $15::boolean[], $16::integer[], $17::timestamptz[],
			$18::timestamptz[], $19::integer[], $20::text[], $21::text[],
			$22::uuid[], $23::bigint[], $24::uuid[], $25::smallint[], $26::text[], $27::smallint[],
			$28::timestamptz[], $29::timestamptz[], $30::timestamptz[], $31::timestamptz[]
		) AS c (
			id, revision, new_build,
			wake_at, autostart, autostart_after, ttl_ns, last_used_at,
			dormant_at, deleting_at, hold_until, reminded_for,
			automatic_updates, managed, deleted, failures, attention_at,
			backoff_until, backoff_attempts, backoff_cause, backoff_message,
			build_id, build_number, build_version_id, build_transition, build_reason, build_status,
			build_created_at, build_completed_at, build_deadline, build_max_deadline
		)
	), held AS (
		SELECT id, revision, build_id, build_number, build_version_id, build_transition, build_reason, build_status,
			build_created_at, build_completed_at, build_deadline, build_max_deadline
		FROM dormouse.workspaces
		WHERE id = ANY ($1)
		ORDER BY id
		FOR NO KEY UPDATE
	), matched AS (
		SELECT c.*, h.build_id AS old_id, h.build_number AS old_number, h.build_version_id AS old_version_id,
			h.build_transition AS old_transition, h.build_reason AS old_reason, h.build_status AS old_status,
			h.build_created_at AS old_created_at, h.build_completed_at AS old_completed_at,
			h.build_deadline AS old_deadline, h.build_max_deadline AS old_max_deadline
		FROM change c JOIN held h ON h.id = c.id AND h.revision = c.revision
	), bad AS (
		SELECT id, old_number, old_status
		FROM matched
		WHERE new_build AND (build_number <> old_number + 1 OR old_status BETWEEN 1 AND 3)
			OR NOT new_build AND build_number NOT IN (0, old_number)
			OR build_number > 0 AND build_max_deadline IS NOT NULL
				AND (build_deadline IS NULL OR build_deadline > build_max_deadline)
	)`

const doneSQL = `, done AS (
		UPDATE dormouse.workspaces w SET
			revision = w.revision + 1,
			wake_at = m.wake_at, autostart = m.autostart, autostart_after = m.autostart_after, ttl_ns = m.ttl_ns,
			last_used_at = m.last_used_at, dormant_at = m.dormant_at, deleting_at = m.deleting_at,
			hold_until = m.hold_until, reminded_for = m.reminded_for,
			automatic_updates = m.automatic_updates, managed = m.managed, deleted = m.deleted,
			failures = m.failures, attention_at = m.attention_at,
			backoff_until = m.backoff_until, backoff_attempts = m.backoff_attempts,
			backoff_cause = m.backoff_cause, backoff_message = m.backoff_message,
			build_id = CASE m.build_number WHEN 0 THEN w.build_id ELSE m.build_id END,
			build_number = CASE m.build_number WHEN 0 THEN w.build_number ELSE m.build_number END,
			build_version_id = CASE m.build_number WHEN 0 THEN w.build_version_id ELSE m.build_version_id END,
			build_transition = CASE m.build_number WHEN 0 THEN w.build_transition ELSE m.build_transition END,
			build_reason = CASE m.build_number WHEN 0 THEN w.build_reason ELSE m.build_reason END,
			build_status = CASE m.build_number WHEN 0 THEN w.build_status ELSE m.build_status END,
			build_created_at = CASE m.build_number WHEN 0 THEN w.build_created_at ELSE m.build_created_at END,
			build_completed_at = CASE m.build_number WHEN 0 THEN w.build_completed_at ELSE m.build_completed_at END,
			build_deadline = CASE m.build_number WHEN 0 THEN w.build_deadline ELSE m.build_deadline END,
			build_max_deadline = CASE m.build_number WHEN 0 THEN w.build_max_deadline ELSE m.build_max_deadline END
		FROM matched m
		WHERE w.id = m.id AND w.revision = m.revision AND NOT EXISTS (SELECT FROM bad)
		RETURNING w.id
	)`

const appliedSQL = `
	SELECT id, NULL::bigint, NULL::smallint FROM done
	UNION ALL
	SELECT id, old_number, old_status FROM bad`
