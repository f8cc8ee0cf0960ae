WITH claim AS MATERIALIZED (
	SELECT c.*, k.id AS known FROM (SELECT
		unnest($6::text[]) AS claim_key, unnest($7::text[]) AS owner, unnest($8::text[]) AS tenant,
		unnest($9::bigint[]) AS idle_timeout, unnest($10::timestamptz[]) AS ends_at,
		unnest($11::timestamptz[]) AS deadline, unnest($12::text[]) AS claim_details,
		generate_subscripts($6::text[], 1) AS n) AS c
	LEFT JOIN dormouse.members k ON k.pool = $1 AND k.claim_key = c.claim_key
), open AS MATERIALIZED (
	SELECT count(*) AS total, array_agg(n ORDER BY n) AS n, array_agg(claim_key ORDER BY n) AS claim_key,
		array_agg(owner ORDER BY n) AS owner, array_agg(tenant ORDER BY n) AS tenant,
		array_agg(idle_timeout ORDER BY n) AS idle_timeout, array_agg(ends_at ORDER BY n) AS ends_at,
		array_agg(deadline ORDER BY n) AS deadline, array_agg(claim_details ORDER BY n) AS claim_details
	FROM claim WHERE known IS NULL
), free AS MATERIALIZED (
	SELECT id FROM dormouse.members
	WHERE state = 2 AND pool = $1 AND version = $2 AND reserved_for = $3
		AND (deadline IS NULL OR $4::timestamptz IS NULL OR deadline >= $4)
	ORDER BY ready_at, id LIMIT (SELECT total FROM open)
	FOR NO KEY UPDATE SKIP LOCKED
), numbered AS (
	SELECT id, row_number() OVER () AS turn FROM free
), taken AS (
	UPDATE dormouse.members m SET
		state = 3, revision = m.revision + 1, reason = 'claimed', claimed_at = $5, claim_key = o.claim_key[f.turn],
		owner = o.owner[f.turn], tenant = o.tenant[f.turn], idle_timeout = o.idle_timeout[f.turn],
		ends_at = o.ends_at[f.turn], deadline = o.deadline[f.turn], claim_details = o.claim_details[f.turn]
	FROM numbered f CROSS JOIN open o WHERE m.id = f.id
	RETURNING o.n[f.turn] AS n, 
		m.id, m.pool, m.version, m.revision, m.state, m.resource, m.generation, m.uses, m.reserved_for,
		m.created_at, m.ready_at, m.deadline, m.attempts, m.misses, m.reason, m.message, m.claim_key,
		m.owner, m.tenant, m.claim_details, m.claimed_at, m.idle_timeout, m.ends_at
)
SELECT NULL::uuid, taken.*, true FROM taken
UNION ALL
SELECT NULL, c.n, 
		m.id, m.pool, m.version, m.revision, m.state, m.resource, m.generation, m.uses, m.reserved_for,
		m.created_at, m.ready_at, m.deadline, m.attempts, m.misses, m.reason, m.message, m.claim_key,
		m.owner, m.tenant, m.claim_details, m.claimed_at, m.idle_timeout, m.ends_at, false FROM claim c JOIN dormouse.members m ON m.id = c.known
UNION ALL
SELECT ('a trigger kept ' || count(*) || ' members from being written')::uuid, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM free HAVING count(*) > (SELECT count(*) FROM taken)
