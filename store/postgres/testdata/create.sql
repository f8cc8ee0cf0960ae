WITH new AS (
	SELECT * FROM unnest(
		$1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[], $7::text[],
		$8::timestamptz[], $9::bigint[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[],
		$13::timestamptz[], $14::timestamptz[], $15::boolean[], $16::boolean[], $17::boolean[],
		$18::integer[], $19::timestamptz[], $20::timestamptz[], $21::integer[], $22::text[], $23::text[]
	) AS c (
		id, organization_id, owner_id, template_id, name, created_at, autostart, autostart_after, ttl_ns,
		last_used_at, dormant_at, deleting_at, hold_until, reminded_for, automatic_updates, managed, deleted,
		failures, attention_at, backoff_until, backoff_attempts, backoff_cause, backoff_message
	)
), bad AS (
	SELECT n.id,
		NOT EXISTS (SELECT FROM dormouse.owners o WHERE o.id = n.owner_id) AS no_owner,
		NOT EXISTS (SELECT FROM dormouse.templates t WHERE t.id = n.template_id) AS no_template,
		EXISTS (SELECT FROM dormouse.workspaces w WHERE w.id = n.id) AS exists
	FROM new n
), created AS (
	INSERT INTO dormouse.workspaces (wake_at,
		id, organization_id, owner_id, template_id, name, created_at, autostart, autostart_after, ttl_ns,
		last_used_at, dormant_at, deleting_at, hold_until, reminded_for, automatic_updates, managed, deleted,
		failures, attention_at, backoff_until, backoff_attempts, backoff_cause, backoff_message)
	SELECT $24::timestamptz, n.*
	FROM new n
	WHERE NOT EXISTS (SELECT FROM bad WHERE no_owner OR no_template OR exists)
	ORDER BY n.id
)
SELECT * FROM bad WHERE no_owner OR no_template OR exists LIMIT 1
