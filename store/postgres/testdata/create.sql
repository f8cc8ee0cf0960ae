WITH new AS (
	SELECT * FROM (SELECT
		unnest($1::uuid[]) AS id, unnest($2::uuid[]) AS organization_id, unnest($3::uuid[]) AS owner_id,
		unnest($4::uuid[]) AS template_id, unnest($5::text[]) AS name,
		unnest($6::timestamptz[]) AS created_at, unnest($7::text[]) AS autostart,
		unnest($8::timestamptz[]) AS autostart_after, unnest($9::text[]) AS autostop,
		unnest($10::bigint[]) AS ttl_ns, unnest($11::timestamptz[]) AS last_used_at,
		unnest($12::timestamptz[]) AS dormant_at, unnest($13::timestamptz[]) AS deleting_at,
		unnest($14::timestamptz[]) AS hold_until, unnest($15::smallint[]) AS hold_rules,
		unnest($16::text[]) AS hold_note, unnest($17::text[]) AS hold_by,
		unnest($18::timestamptz[]) AS stop_floor, unnest($19::timestamptz[]) AS dormancy_floor,
		unnest($20::timestamptz[]) AS delete_floor, unnest($21::timestamptz[]) AS reminded_for,
		unnest($22::boolean[]) AS automatic_updates, unnest($23::boolean[]) AS managed,
		unnest($24::boolean[]) AS deleted, unnest($25::integer[]) AS failures,
		unnest($26::integer[]) AS start_failures, unnest($27::timestamptz[]) AS attention_at,
		unnest($28::timestamptz[]) AS backoff_until, unnest($29::integer[]) AS backoff_attempts,
		unnest($30::text[]) AS backoff_cause, unnest($31::text[]) AS backoff_message) AS c
), bad AS (
	SELECT n.id,
		NOT EXISTS (SELECT FROM dormouse.owners o WHERE o.id = n.owner_id) AS no_owner,
		NOT EXISTS (SELECT FROM dormouse.templates t WHERE t.id = n.template_id) AS no_template,
		EXISTS (SELECT FROM dormouse.workspaces w WHERE w.id = n.id) AS exists
	FROM new n
), created AS (
	INSERT INTO dormouse.workspaces (wake_at, template_seen, owner_seen,
		id, organization_id, owner_id, template_id, name, created_at, autostart, autostart_after, autostop,
		ttl_ns, last_used_at, dormant_at, deleting_at, hold_until, hold_rules, hold_note, hold_by,
		stop_floor, dormancy_floor, delete_floor, reminded_for, automatic_updates, managed, deleted,
		failures, start_failures, attention_at, backoff_until, backoff_attempts, backoff_cause,
		backoff_message)
	SELECT $32::timestamptz, nullif(t.rules, 0), nullif(o.rules, 0), n.*
	FROM new n
	JOIN dormouse.templates t ON t.id = n.template_id
	JOIN dormouse.owners o ON o.id = n.owner_id
	WHERE NOT EXISTS (SELECT FROM bad WHERE no_owner OR no_template OR exists)
	ORDER BY n.id
	RETURNING 1
), told AS (
	INSERT INTO dormouse.events (workspace_id, topic, body)
	SELECT e.workspace_id, e.topic, e.body::json
	FROM (SELECT
		unnest($33::uuid[]) AS workspace_id, unnest($34::smallint[]) AS topic, unnest($35::text[]) AS body,
		generate_subscripts($33::uuid[], 1) AS n) AS e
	WHERE NOT EXISTS (SELECT FROM bad WHERE no_owner OR no_template OR exists)
	ORDER BY e.n
	RETURNING 1
)
(SELECT * FROM bad WHERE no_owner OR no_template OR exists LIMIT 1)
UNION ALL
SELECT ('a trigger kept ' || count(*) || ' events from being written')::uuid, NULL, NULL, NULL FROM (SELECT
		unnest($33::uuid[]) AS workspace_id, unnest($34::smallint[]) AS topic, unnest($35::text[]) AS body,
		generate_subscripts($33::uuid[], 1) AS n) AS e WHERE NOT EXISTS (SELECT FROM bad WHERE no_owner OR no_template OR exists)
HAVING count(*) > (SELECT count(*) FROM told)
UNION ALL
SELECT ('a trigger kept ' || count(*) || ' workspaces from being written')::uuid, NULL, NULL, NULL FROM bad HAVING NOT bool_or(no_owner OR no_template OR exists) AND count(*) > (SELECT count(*) FROM created)
