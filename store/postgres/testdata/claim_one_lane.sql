WITH locked AS (
	SELECT j.id FROM dormouse.jobs j
	WHERE j.ready AND j.organization_id = $2 AND j.type = $7 AND j.tag_set = $8 AND j.priority = $9 AND j.place >= $10
		AND j.id <> ALL ($11::uuid[])
		AND NOT EXISTS (SELECT FROM dormouse.pauses x
		WHERE x.organization_id IN ($2, '00000000-0000-0000-0000-000000000000') AND x.type IN ($7, '')
			AND (x.ends_at IS NULL OR x.ends_at > $3))
		AND EXISTS (SELECT FROM dormouse.processes WHERE id = $1 AND lost_at IS NULL)
	ORDER BY j.place, j.id
	LIMIT cardinality($5::uuid[])
	FOR NO KEY UPDATE OF j SKIP LOCKED
), alive AS (
	SELECT id FROM dormouse.processes
	WHERE id = $1 AND lost_at IS NULL AND EXISTS (SELECT FROM locked) FOR KEY SHARE NOWAIT
), taken AS (
	SELECT id, row_number() OVER () AS n FROM locked WHERE EXISTS (SELECT FROM alive)
), started AS (
	UPDATE dormouse.jobs j SET state = 1, ready = false, started_at = $3, process_id = $1, token = $4,
		worker_id = ($5::uuid[])[t.n], secret = ($6::bytea[])[t.n], attempt = j.attempt + 1, fence = j.fence + 1, percent = 0, message = ''
	FROM taken t WHERE j.id = t.id
	RETURNING t.n,
		j.id, j.tenant_id, j.type, j.tag_set, j.priority, j.weight, j.payload, j.trace, j.unique_key,
		j.run_limit, j.round, j.created_at, j.place, j.ready_at, j.attempt, j.fence, j.cancel_at, j.error,
		j.result
), highest AS (
	SELECT $9 AS priority, max(s.place) AS place, count(*) AS n, (
		SELECT c.place FROM dormouse.claimed c
		WHERE c.organization_id = $2 AND c.priority = $9 ORDER BY c.place DESC LIMIT 1
	) AS before
	FROM started s HAVING count(*) > 0
), claimed AS (
	INSERT INTO dormouse.claimed (organization_id, priority, place)
	SELECT $2, h.priority, h.place FROM highest h WHERE h.before IS NULL OR h.before < h.place
	ON CONFLICT DO NOTHING
), passed AS (
	DELETE FROM dormouse.claimed WHERE ctid = ANY (ARRAY(
		SELECT c.ctid FROM dormouse.claimed c JOIN highest h ON c.priority = h.priority AND c.place = h.before
		WHERE c.organization_id = $2 AND h.before < h.place
		FOR UPDATE OF c SKIP LOCKED
	))
)
SELECT
	CASE WHEN EXISTS (SELECT FROM locked) THEN EXISTS (SELECT FROM alive)
	ELSE EXISTS (SELECT FROM dormouse.processes WHERE id = $1 AND lost_at IS NULL) END,
	(SELECT CASE WHEN k > 0 THEN ('a trigger kept ' || k || ' jobs from being written')::bigint ELSE 0 END
		FROM (SELECT count(*) - coalesce((SELECT n FROM highest), 0) AS k FROM taken) AS kept), coalesce(j.n, 0),
		j.id, j.tenant_id, j.type, j.tag_set, j.priority, j.weight, j.payload, j.trace, j.unique_key,
		j.run_limit, j.round, j.created_at, j.place, j.ready_at, j.attempt, j.fence, j.cancel_at, j.error,
		j.result
FROM (VALUES (1)) AS once LEFT JOIN started j ON true
