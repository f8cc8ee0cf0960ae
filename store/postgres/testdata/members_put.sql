WITH change AS MATERIALIZED (
	SELECT * FROM (SELECT
		unnest($1::uuid[]) AS id, unnest($2::bigint[]) AS revision, unnest($3::boolean[]) AS leaves,
		unnest($4::text[]) AS pool, unnest($5::text[]) AS version, unnest($6::smallint[]) AS state,
		unnest($7::uuid[]) AS resource, unnest($8::bigint[]) AS generation, unnest($9::integer[]) AS uses,
		unnest($10::text[]) AS reserved_for, unnest($11::timestamptz[]) AS created_at,
		unnest($12::timestamptz[]) AS ready_at, unnest($13::timestamptz[]) AS deadline,
		unnest($14::integer[]) AS attempts, unnest($15::integer[]) AS misses, unnest($16::text[]) AS reason,
		unnest($17::text[]) AS message, unnest($18::text[]) AS claim_key, unnest($19::text[]) AS owner,
		unnest($20::text[]) AS tenant, unnest($21::text[]) AS claim_details,
		unnest($22::timestamptz[]) AS claimed_at, unnest($23::bigint[]) AS idle_timeout,
		unnest($24::timestamptz[]) AS ends_at, generate_subscripts($1::uuid[], 1) AS n) AS c
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
UNION ALL SELECT ('a trigger kept ' || count(DISTINCT id) || ' members from being written')::bigint FROM matched
HAVING count(DISTINCT id) > (SELECT count(*) FROM updated) + (SELECT count(*) FROM deleted)
