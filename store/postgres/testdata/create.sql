WITH new AS (
	SELECT * FROM unnest(
		$1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[], $7::text[],
		$8::timestamptz[], $9::text[], $10::bigint[], $11::timestamptz[], $12::timestamptz[],
		$13::timestamptz[], $14::timestamptz[], $15::smallint[], $16::text[], $17::text[],
		$18::timestamptz[], $19::timestamptz[], $20::timestamptz[], $21::timestamptz[], $22::boolean[],
		$23::boolean[], $24::boolean[], $25::integer[], $26::integer[], $27::timestamptz[],
		$28::timestamptz[], $29::integer[], $30::text[], $31::text[]
	) AS c (
		id, organization_id, owner_id, template_id, name, created_at, autostart, autostart_after, autostop,
		ttl_ns, last_used_at, dormant_at, deleting_at, hold_until, hold_rules, hold_note, hold_by,
		stop_floor, dormancy_floor, delete_floor, reminded_for, automatic_updates, managed, deleted,
		failures, start_failures, attention_at, backoff_until, backoff_attempts, backoff_cause,
		backoff_message
	)
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
), told AS (
	INSERT INTO dormouse.events (workspace_id, topic, body)
	SELECT e.workspace_id, e.topic, e.body::json
	FROM unnest($33::uuid[], $34::smallint[], $35::text[]) WITH ORDINALITY AS e (workspace_id, topic, body, n)
	WHERE NOT EXISTS (SELECT FROM bad WHERE no_owner OR no_template OR exists)
	ORDER BY e.n
)
SELECT * FROM bad WHERE no_owner OR no_template OR exists LIMIT 1
