WITH change AS MATERIALIZED (
	SELECT * FROM unnest(
		$1::uuid[], $2::bigint[], $3::boolean[], $4::text[], $5::text[], $6::smallint[], $7::uuid[],
		$8::bigint[], $9::integer[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[],
		$14::integer[], $15::integer[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[],
		$21::text[], $22::timestamptz[], $23::bigint[], $24::timestamptz[]
	) WITH ORDINALITY AS c (
		id, revision, leaves, pool, version, state, resource, generation, uses, reserved_for, created_at,
		ready_at, deadline, attempts, misses, reason, message, claim_key, owner, tenant, claim_details,
		claimed_at, idle_timeout, ends_at, n
	)
), locked AS MATERIALIZED (
	SELECT id, pool, revision FROM dormouse.members WHERE id = ANY ($1) ORDER BY id FOR UPDATE SKIP LOCKED
), matched AS MATERIALIZED (
	SELECT c.* FROM change c JOIN locked l ON l.id = c.id AND l.pool = c.pool AND l.revision = c.revision
	WHERE c.claim_key IS NULL OR NOT EXISTS (
		SELECT FROM dormouse.members o WHERE o.pool = c.pool AND o.claim_key = c.claim_key AND o.id <> c.id)
), updated AS (
	UPDATE dormouse.members m SET revision = m.revision + 1, 
		pool = c.pool, version = c.version, state = c.state, resource = c.resource,
		generation = c.generation, uses = c.uses, reserved_for = c.reserved_for, created_at = c.created_at,
		ready_at = c.ready_at, deadline = c.deadline, attempts = c.attempts, misses = c.misses,
		reason = c.reason, message = c.message, claim_key = c.claim_key, owner = c.owner, tenant = c.tenant,
		claim_details = c.claim_details, claimed_at = c.claimed_at, idle_timeout = c.idle_timeout,
		ends_at = c.ends_at
	FROM matched c WHERE m.id = c.id AND NOT c.leaves
	RETURNING c.n
), deleted AS (
	DELETE FROM dormouse.members m USING matched c WHERE m.id = c.id AND c.leaves
	RETURNING c.n
), inserted AS (
	INSERT INTO dormouse.members (id, revision, 
		pool, version, state, resource, generation, uses, reserved_for, created_at, ready_at, deadline,
		attempts, misses, reason, message, claim_key, owner, tenant, claim_details, claimed_at, idle_timeout,
		ends_at)
	SELECT id, 1, 
		pool, version, state, resource, generation, uses, reserved_for, created_at, ready_at, deadline,
		attempts, misses, reason, message, claim_key, owner, tenant, claim_details, claimed_at, idle_timeout,
		ends_at FROM change WHERE revision = 0 AND NOT leaves
	ON CONFLICT DO NOTHING
	RETURNING id
)
SELECT n FROM updated UNION ALL SELECT n FROM deleted
UNION ALL SELECT c.n FROM change c JOIN inserted i ON i.id = c.id
