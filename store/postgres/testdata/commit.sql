WITH change AS (
	SELECT * FROM (SELECT
		unnest($1::uuid[]) AS id, unnest($2::bigint[]) AS revision, unnest($3::boolean[]) AS new_build,
		unnest($4::timestamptz[]) AS wake_at, unnest($5::text[]) AS autostart,
		unnest($6::timestamptz[]) AS autostart_after, unnest($7::text[]) AS autostop,
		unnest($8::bigint[]) AS ttl_ns, unnest($9::timestamptz[]) AS last_used_at,
		unnest($10::timestamptz[]) AS dormant_at, unnest($11::timestamptz[]) AS deleting_at,
		unnest($12::timestamptz[]) AS hold_until, unnest($13::smallint[]) AS hold_rules,
		unnest($14::text[]) AS hold_note, unnest($15::text[]) AS hold_by,
		unnest($16::timestamptz[]) AS stop_floor, unnest($17::timestamptz[]) AS dormancy_floor,
		unnest($18::timestamptz[]) AS delete_floor, unnest($19::timestamptz[]) AS reminded_for,
		unnest($20::boolean[]) AS automatic_updates, unnest($21::boolean[]) AS managed,
		unnest($22::boolean[]) AS deleted, unnest($23::integer[]) AS failures,
		unnest($24::integer[]) AS start_failures, unnest($25::timestamptz[]) AS attention_at,
		unnest($26::timestamptz[]) AS backoff_until, unnest($27::integer[]) AS backoff_attempts,
		unnest($28::text[]) AS backoff_cause, unnest($29::text[]) AS backoff_message,
		unnest($30::bigint[]) AS template_seen, unnest($31::bigint[]) AS owner_seen,
		unnest($32::uuid[]) AS build_id, unnest($33::bigint[]) AS build_number,
		unnest($34::uuid[]) AS build_version_id, unnest($35::smallint[]) AS build_transition,
		unnest($36::text[]) AS build_reason, unnest($37::smallint[]) AS build_status,
		unnest($38::text[]) AS build_initiator, unnest($39::text[]) AS build_error,
		unnest($40::text[]) AS build_result, unnest($41::timestamptz[]) AS build_created_at,
		unnest($42::timestamptz[]) AS build_completed_at, unnest($43::timestamptz[]) AS build_due_at,
		unnest($44::bigint[]) AS build_ttl_ns, unnest($45::timestamptz[]) AS build_run_since,
		unnest($46::timestamptz[]) AS build_deadline, unnest($47::timestamptz[]) AS build_max_deadline) AS c
), held AS (
	SELECT id, revision,
		build_id, build_number, build_version_id, build_transition, build_reason, build_status,
		build_initiator, build_error, build_result, build_created_at, build_completed_at, build_due_at,
		build_ttl_ns, build_run_since, build_deadline, build_max_deadline
	FROM dormouse.workspaces
	WHERE id = ANY ($1)
	ORDER BY id
	FOR NO KEY UPDATE SKIP LOCKED
), matched AS (
	SELECT c.*,
		h.build_id AS old_build_id, h.build_number AS old_build_number,
		h.build_version_id AS old_build_version_id, h.build_transition AS old_build_transition,
		h.build_reason AS old_build_reason, h.build_status AS old_build_status,
		h.build_initiator AS old_build_initiator, h.build_error AS old_build_error,
		h.build_result AS old_build_result, h.build_created_at AS old_build_created_at,
		h.build_completed_at AS old_build_completed_at, h.build_due_at AS old_build_due_at,
		h.build_ttl_ns AS old_build_ttl_ns, h.build_run_since AS old_build_run_since,
		h.build_deadline AS old_build_deadline, h.build_max_deadline AS old_build_max_deadline
	FROM change c JOIN held h ON h.id = c.id AND h.revision = c.revision
), bad AS (
	SELECT id, old_build_number, old_build_status
	FROM matched
	WHERE new_build AND (build_number <> old_build_number + 1 OR old_build_status BETWEEN 1 AND 3)
		OR NOT new_build AND build_number NOT IN (0, old_build_number)
		OR build_number > 0 AND build_max_deadline IS NOT NULL
			AND (build_deadline IS NULL OR build_deadline > build_max_deadline)
), archived AS (
	INSERT INTO dormouse.builds (workspace_id,
		id, number, version_id, transition, reason, status, initiator, error, result, created_at,
		completed_at, due_at, ttl_ns, run_since, deadline, max_deadline)
	SELECT id,
		old_build_id, old_build_number, old_build_version_id, old_build_transition, old_build_reason,
		old_build_status, old_build_initiator, old_build_error, old_build_result, old_build_created_at,
		old_build_completed_at, old_build_due_at, old_build_ttl_ns, old_build_run_since, old_build_deadline,
		old_build_max_deadline
	FROM matched
	WHERE new_build AND old_build_number > 0 AND NOT EXISTS (SELECT FROM bad)
	RETURNING 1
), done AS (
	UPDATE dormouse.workspaces w SET
		revision = w.revision + 1, wake_at = m.wake_at,
		autostart = m.autostart, autostart_after = m.autostart_after, autostop = m.autostop,
		ttl_ns = m.ttl_ns, last_used_at = m.last_used_at, dormant_at = m.dormant_at,
		deleting_at = m.deleting_at, hold_until = m.hold_until, hold_rules = m.hold_rules,
		hold_note = m.hold_note, hold_by = m.hold_by, stop_floor = m.stop_floor,
		dormancy_floor = m.dormancy_floor, delete_floor = m.delete_floor, reminded_for = m.reminded_for,
		automatic_updates = m.automatic_updates, managed = m.managed, deleted = m.deleted,
		failures = m.failures, start_failures = m.start_failures, attention_at = m.attention_at,
		backoff_until = m.backoff_until, backoff_attempts = m.backoff_attempts,
		backoff_cause = m.backoff_cause, backoff_message = m.backoff_message,
		template_seen = m.template_seen, owner_seen = m.owner_seen,
		build_id = CASE m.build_number WHEN 0 THEN w.build_id ELSE m.build_id END,
		build_number = CASE m.build_number WHEN 0 THEN w.build_number ELSE m.build_number END,
		build_version_id = CASE m.build_number WHEN 0 THEN w.build_version_id ELSE m.build_version_id END,
		build_transition = CASE m.build_number WHEN 0 THEN w.build_transition ELSE m.build_transition END,
		build_reason = CASE m.build_number WHEN 0 THEN w.build_reason ELSE m.build_reason END,
		build_status = CASE m.build_number WHEN 0 THEN w.build_status ELSE m.build_status END,
		build_initiator = CASE m.build_number WHEN 0 THEN w.build_initiator ELSE m.build_initiator END,
		build_error = CASE m.build_number WHEN 0 THEN w.build_error ELSE m.build_error END,
		build_result = CASE m.build_number WHEN 0 THEN w.build_result ELSE m.build_result END,
		build_created_at = CASE m.build_number WHEN 0 THEN w.build_created_at ELSE m.build_created_at END,
		build_completed_at = CASE m.build_number WHEN 0 THEN w.build_completed_at ELSE m.build_completed_at END,
		build_due_at = CASE m.build_number WHEN 0 THEN w.build_due_at ELSE m.build_due_at END,
		build_ttl_ns = CASE m.build_number WHEN 0 THEN w.build_ttl_ns ELSE m.build_ttl_ns END,
		build_run_since = CASE m.build_number WHEN 0 THEN w.build_run_since ELSE m.build_run_since END,
		build_deadline = CASE m.build_number WHEN 0 THEN w.build_deadline ELSE m.build_deadline END,
		build_max_deadline = CASE m.build_number WHEN 0 THEN w.build_max_deadline ELSE m.build_max_deadline END
	FROM matched m
	WHERE w.id = m.id AND w.revision = m.revision AND NOT EXISTS (SELECT FROM bad)
	RETURNING w.id
), told AS (
	SELECT e.*
	FROM (SELECT
		unnest($48::uuid[]) AS workspace_id, unnest($49::smallint[]) AS topic, unnest($50::text[]) AS body,
		generate_subscripts($48::uuid[], 1) AS n) AS e
	JOIN done d ON d.id = e.workspace_id
), emitted AS (
	INSERT INTO dormouse.events (workspace_id, topic, body)
	SELECT workspace_id, topic, body::json FROM told ORDER BY n
	RETURNING 1
), wanted AS (
	SELECT j.*
	FROM (SELECT
		unnest($51::uuid[]) AS id, unnest($52::uuid[]) AS organization_id, unnest($53::uuid[]) AS tenant_id,
		unnest($54::text[]) AS type, unnest($55::integer[]) AS tag_set, unnest($56::smallint[]) AS priority,
		unnest($57::integer[]) AS weight, unnest($58::bytea[]) AS payload, unnest($59::text[]) AS trace,
		unnest($60::timestamptz[]) AS created_at, unnest($61::timestamptz[]) AS ready_at,
		unnest($62::bigint[]) AS step, unnest($63::uuid[]) AS workspace_id,
		generate_subscripts($51::uuid[], 1) AS n) AS j
	JOIN done d ON d.id = j.workspace_id
), posted AS (
	SELECT w.*,
		sum(step) OVER line AS upto,
		first_value(step) OVER line AS first_step,
		dense_rank() OVER (ORDER BY organization_id, priority, tenant_id) AS turn_no
	FROM wanted w
	WINDOW line AS (PARTITION BY organization_id, priority, tenant_id ORDER BY n)
), tenant AS (
	SELECT organization_id, priority, tenant_id, first_step, sum(step) AS steps FROM posted
	GROUP BY organization_id, priority, tenant_id, first_step
), turn AS (
	SELECT p.organization_id, p.priority, p.tenant_id, p.steps AS step, f.place AS free, l.place AS last,
		greatest(coalesce(f.place, l.place, 0) + p.steps,
			greatest(p.first_step, (
		SELECT c.place + 1048 FROM dormouse.claimed c
		WHERE c.organization_id = p.organization_id AND c.priority = p.priority
		ORDER BY c.place DESC LIMIT 1)) + p.steps - p.first_step) AS place
	FROM tenant p
	LEFT JOIN LATERAL (
		SELECT t.place FROM dormouse.turns t
		WHERE t.organization_id = p.organization_id AND t.priority = p.priority AND t.tenant_id = p.tenant_id
		FOR NO KEY UPDATE SKIP LOCKED
	) f ON true
	LEFT JOIN LATERAL (
		SELECT t.place FROM dormouse.turns t
		WHERE f.place IS NULL
			AND t.organization_id = p.organization_id AND t.priority = p.priority AND t.tenant_id = p.tenant_id
	) l ON true
), moved AS (
	UPDATE dormouse.turns t SET place = n.place, step = n.step
	FROM turn n
	WHERE n.free IS NOT NULL AND t.organization_id = n.organization_id AND t.priority = n.priority AND t.tenant_id = n.tenant_id
), added AS (
	INSERT INTO dormouse.turns (organization_id, priority, tenant_id, place, step)
	SELECT organization_id, priority, tenant_id, place, step FROM turn
	WHERE free IS NULL AND last IS NULL AND set_config('lock_timeout', CASE WHEN current_setting('lock_timeout')::interval BETWEEN '1 ms' AND '500ms' THEN current_setting('lock_timeout') ELSE '500ms' END, true) <> ''
	ORDER BY organization_id, priority, tenant_id
	ON CONFLICT DO NOTHING
), queued AS (
	INSERT INTO dormouse.jobs AS j (ready, place,
		id, organization_id, tenant_id, type, tag_set, priority, weight, payload, trace, created_at,
		ready_at)
	SELECT p.ready_at <= p.created_at,
		(SELECT array_agg(place - step ORDER BY organization_id, priority, tenant_id) FROM turn)[p.turn_no::integer] + p.upto,
		p.id, p.organization_id, p.tenant_id, p.type, (SELECT t.id FROM dormouse.tag_sets t WHERE t.id = p.tag_set), p.priority, p.weight, p.payload, p.trace,
		p.created_at, p.ready_at
	FROM posted p
	ORDER BY p.id
	ON CONFLICT DO NOTHING RETURNING j.id)
SELECT id, NULL::bigint, NULL::smallint FROM done
UNION ALL
SELECT id, old_build_number, old_build_status FROM bad
UNION ALL
SELECT ('a trigger kept ' || count(*) || ' workspaces from being written')::uuid, NULL, NULL FROM matched WHERE NOT EXISTS (SELECT FROM bad) HAVING count(*) > (SELECT count(*) FROM done)
UNION ALL
SELECT ('a trigger kept ' || count(*) || ' builds from being written')::uuid, NULL, NULL FROM matched
	WHERE new_build AND old_build_number > 0 AND NOT EXISTS (SELECT FROM bad)
	HAVING count(*) > (SELECT count(*) FROM archived)
UNION ALL
SELECT ('a trigger kept ' || count(*) || ' events from being written')::uuid, NULL, NULL FROM told HAVING count(*) > (SELECT count(*) FROM emitted)
UNION ALL
SELECT ('a trigger kept ' || count(*) || ' jobs from being written')::uuid, NULL, NULL FROM wanted w
	WHERE w.id NOT IN (SELECT id FROM queued) AND NOT EXISTS (SELECT FROM dormouse.jobs x WHERE x.id = w.id)
	HAVING count(*) > 0
