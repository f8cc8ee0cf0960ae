WITH held AS (
	SELECT id, fence, state, process_id, organization_id, worker_id, secret, cancel_at FROM dormouse.jobs
	WHERE id = ANY ($2)
	ORDER BY id FOR NO KEY UPDATE
), accepted AS (
	SELECT e.*, CASE WHEN e.target = 0 AND h.cancel_at IS NOT NULL THEN 4::smallint ELSE e.target END AS final
	FROM (SELECT
		unnest($2::uuid[]) AS id, unnest($3::bigint[]) AS fence, unnest($4::uuid[]) AS process_id,
		unnest($5::smallint[]) AS target, unnest($6::boolean[]) AS released, unnest($7::text[]) AS error,
		unnest($8::text[]) AS recorded, unnest($9::text[]) AS brief, unnest($10::bytea[]) AS result,
		unnest($11::timestamptz[]) AS ready_at, unnest($12::uuid[]) AS organization_id,
		unnest($13::uuid[]) AS worker_id, unnest($14::bytea[]) AS secret,
		generate_subscripts($2::uuid[], 1) AS n) AS e JOIN held h ON h.id = e.id AND h.state = 1 AND h.fence = e.fence AND h.fence > 0
		AND CASE WHEN e.process_id IS NOT NULL THEN e.process_id = h.process_id ELSE h.id = e.id AND h.fence = e.fence AND h.organization_id = e.organization_id
		AND h.worker_id = e.worker_id AND h.secret = e.secret END
)
UPDATE dormouse.jobs j SET
	history = CASE WHEN a.recorded IS NULL THEN j.history ELSE CASE WHEN jsonb_array_length(j.history) >= 20 THEN j.history - 0
			ELSE coalesce(j.history, '[]') END || jsonb_build_object(
		'Round', j.round, 'Attempt', j.attempt, 'Outcome', a.recorded, 'StartedAt', j.started_at, 'EndedAt', $1::timestamptz,
		'Error', a.brief, 'Process', j.process_id, 'Worker', j.worker_id) END,
	state = a.final,
	attempt = CASE WHEN a.released THEN j.attempt - 1 ELSE j.attempt END,
	error = CASE WHEN a.error <> '' OR a.final <> 0 THEN a.error ELSE j.error END,
	result = CASE WHEN a.final <> 0 THEN a.result ELSE j.result END,
	ended_at = CASE WHEN a.final <> 0 THEN $1::timestamptz END,
	started_at = CASE WHEN a.final <> 0 THEN j.started_at END,
	ready_at = CASE WHEN a.final = 0 THEN greatest(a.ready_at, $1) ELSE j.ready_at END,
	ready = a.final = 0 AND (a.ready_at IS NULL OR a.ready_at <= $1),
	place = CASE WHEN a.final <> 0 THEN j.place ELSE coalesce((
		SELECT c.place FROM dormouse.claimed c
		WHERE c.organization_id = j.organization_id AND c.priority = j.priority
		ORDER BY c.place DESC LIMIT 1), j.place) END
FROM accepted a WHERE j.id = a.id
RETURNING a.n,
		j.id, j.organization_id, j.tenant_id, j.type, j.tag_set, j.priority, j.weight, j.unique_key,
		j.run_limit, j.round, j.created_at, j.state, j.place, j.ready_at, j.attempt, j.fence, j.process_id,
		j.worker_id, j.token, j.started_at, j.ended_at, j.cancel_at
