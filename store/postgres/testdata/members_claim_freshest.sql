WITH known AS MATERIALIZED (
	SELECT id FROM dormouse.members WHERE pool = $1 AND claim_key = $6
), free AS MATERIALIZED (
	SELECT id FROM dormouse.members
	WHERE state = 2 AND pool = $1 AND version = $2 AND reserved_for = $3
		AND (deadline IS NULL OR $4::timestamptz IS NULL OR deadline >= $4) AND NOT EXISTS (SELECT FROM known)
	ORDER BY ready_at DESC, id DESC LIMIT 1
	FOR NO KEY UPDATE SKIP LOCKED
), taken AS (
	UPDATE dormouse.members m SET
		state = 3, revision = m.revision + 1, reason = 'claimed', claimed_at = $5, claim_key = $6, owner = $7,
		tenant = $8, idle_timeout = $9, ends_at = $10, deadline = $11, claim_details = $12
	FROM free f WHERE m.id = f.id
	RETURNING 
		m.id, m.pool, m.version, m.revision, m.state, m.resource, m.generation, m.uses, m.reserved_for,
		m.created_at, m.ready_at, m.deadline, m.attempts, m.misses, m.reason, m.message, m.claim_key,
		m.owner, m.tenant, m.claim_details, m.claimed_at, m.idle_timeout, m.ends_at
)
SELECT NULL::uuid, 1, taken.*, true FROM taken
UNION ALL
SELECT NULL, 1, 
		m.id, m.pool, m.version, m.revision, m.state, m.resource, m.generation, m.uses, m.reserved_for,
		m.created_at, m.ready_at, m.deadline, m.attempts, m.misses, m.reason, m.message, m.claim_key,
		m.owner, m.tenant, m.claim_details, m.claimed_at, m.idle_timeout, m.ends_at, false FROM known k JOIN dormouse.members m ON m.id = k.id
UNION ALL
SELECT ('a trigger kept ' || count(*) || ' members from being written')::uuid, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM free HAVING count(*) > (SELECT count(*) FROM taken)
