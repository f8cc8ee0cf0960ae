WITH held AS (
	SELECT id, state, cancel_at FROM dormouse.jobs
	WHERE id = ANY ($2) AND ($5::uuid IS NULL OR organization_id = $5)
	ORDER BY id FOR NO KEY UPDATE
), canceled AS (
	UPDATE dormouse.jobs j SET
		state = CASE WHEN j.state = 1 THEN 1 WHEN $4 THEN 3 ELSE 4 END,
		cancel_at = CASE WHEN $4 THEN j.cancel_at ELSE $1 END,
		ended_at = CASE WHEN j.state = 0 THEN $1::timestamptz END,
		error = CASE WHEN j.state = 0 THEN $3 ELSE j.error END,
		ready = false
	FROM held h
	WHERE j.id = h.id AND (h.state = 0 OR h.state = 1 AND NOT $4::boolean AND h.cancel_at IS NULL)
	RETURNING j.*
)
SELECT
		j.id, j.organization_id, j.tenant_id, j.type, j.tag_set, j.priority, j.weight, j.payload, j.trace,
		j.unique_key, j.run_limit, j.round, j.created_at, j.state, j.place, j.ready_at, j.attempt, j.fence,
		j.process_id, j.worker_id, j.token, j.secret, j.started_at, j.ended_at, j.cancel_at, j.error,
		j.result, j.percent, j.message FROM canceled j
UNION ALL
SELECT ('a trigger kept ' || count(*) || ' jobs from being written')::uuid, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM held h WHERE h.state = 0 OR h.state = 1 AND NOT $4::boolean AND h.cancel_at IS NULL
HAVING count(*) > (SELECT count(*) FROM canceled)
