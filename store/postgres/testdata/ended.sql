SELECT h.state = 1, e.n,
		h.id, h.organization_id, h.tenant_id, h.type, h.tag_set, h.priority, h.weight, h.unique_key,
		h.run_limit, h.round, h.created_at, h.state, h.place, h.ready_at, h.attempt, h.fence, h.process_id,
		h.worker_id, h.token, h.started_at, h.ended_at, h.cancel_at
FROM (SELECT
		unnest($1::uuid[]) AS id, unnest($2::bigint[]) AS fence, unnest($3::uuid[]) AS process_id,
		unnest($4::smallint[]) AS target, unnest($5::boolean[]) AS released, unnest($6::text[]) AS error,
		unnest($7::text[]) AS recorded, unnest($8::text[]) AS brief, unnest($9::bytea[]) AS result,
		unnest($10::timestamptz[]) AS ready_at, unnest($11::uuid[]) AS organization_id,
		unnest($12::uuid[]) AS worker_id, unnest($13::bytea[]) AS secret,
		generate_subscripts($1::uuid[], 1) AS n) AS e JOIN dormouse.jobs h ON h.id = e.id AND h.fence = e.fence AND h.fence > 0
		AND CASE WHEN e.process_id IS NOT NULL THEN e.process_id = h.process_id ELSE h.id = e.id AND h.fence = e.fence AND h.organization_id = e.organization_id
		AND h.worker_id = e.worker_id AND h.secret = e.secret END
WHERE h.state IN (1, e.target) OR e.target = 0 AND h.state = 4
