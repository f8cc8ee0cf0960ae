WITH wanted AS (
	SELECT j.* FROM unnest(
		$1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::integer[], $6::smallint[], $7::integer[],
		$8::bytea[], $9::text[], $10::timestamptz[], $11::timestamptz[], $12::text[], $13::bigint[],
		$14::bigint[]
	) WITH ORDINALITY AS j (
		id, organization_id, tenant_id, type, tag_set, priority, weight, payload, trace, created_at,
		ready_at, unique_key, run_limit, step, n
	)
	WHERE NOT EXISTS (SELECT FROM dormouse.jobs x WHERE x.id = j.id)
		AND NOT EXISTS (SELECT FROM dormouse.jobs x
			WHERE x.organization_id = j.organization_id AND x.type = j.type AND x.unique_key = j.unique_key AND x.state < 2)
), posted AS (
	SELECT w.*,
		sum(step) OVER line AS upto,
		first_value(step) OVER line AS first_step,
		sum(step) OVER (PARTITION BY organization_id, priority, tenant_id) AS steps,
		dense_rank() OVER (ORDER BY organization_id, priority, tenant_id) AS turn_no
	FROM wanted w
	WINDOW line AS (PARTITION BY organization_id, priority, tenant_id ORDER BY n)
), tenant AS (
	SELECT DISTINCT organization_id, priority, tenant_id, first_step, steps FROM posted
), turn AS (
	SELECT p.organization_id, p.priority, p.tenant_id, p.steps, f.place AS free, l.place AS last,
		greatest(coalesce(f.place, l.place, 0) + p.steps,
			greatest(p.first_step, (
		SELECT c.place + 1048 FROM dormouse.claimed c
		WHERE c.organization_id = p.organization_id AND c.priority = p.priority
		ORDER BY c.place DESC LIMIT 1)) + p.steps - p.first_step) AS place
	FROM tenant p
	LEFT JOIN LATERAL (
		SELECT t.place FROM dormouse.turns t
		WHERE t.organization_id = p.organization_id AND t.priority = p.priority AND t.tenant_id = p.tenant_id
		FOR NO KEY UPDATE SKIP LOCKED
	) f ON true
	LEFT JOIN LATERAL (
		SELECT t.place FROM dormouse.turns t
		WHERE f.place IS NULL
			AND t.organization_id = p.organization_id AND t.priority = p.priority AND t.tenant_id = p.tenant_id
	) l ON true
), moved AS (
	UPDATE dormouse.turns t SET place = n.place, step = n.steps
	FROM turn n
	WHERE n.free IS NOT NULL AND t.organization_id = n.organization_id AND t.priority = n.priority AND t.tenant_id = n.tenant_id
)
	INSERT INTO dormouse.jobs AS j (ready, place,
		id, organization_id, tenant_id, type, tag_set, priority, weight, payload, trace, created_at,
		ready_at, unique_key, run_limit)
	SELECT p.ready_at <= p.created_at,
		(SELECT array_agg(place ORDER BY organization_id, priority, tenant_id) FROM turn)[p.turn_no::integer] - p.steps + p.upto,
		p.id, p.organization_id, p.tenant_id, p.type, (SELECT t.id FROM dormouse.tag_sets t WHERE t.id = p.tag_set), p.priority, p.weight, p.payload, p.trace,
		p.created_at, p.ready_at, p.unique_key, p.run_limit
	FROM posted p
	ORDER BY p.id
	ON CONFLICT DO NOTHING
RETURNING
		j.id, j.organization_id, j.tenant_id, j.type, j.tag_set, j.priority, j.weight, j.payload, j.trace,
		j.unique_key, j.run_limit, j.round, j.created_at, j.state, j.place, j.ready_at, j.attempt, j.fence,
		j.process_id, j.worker_id, j.token, j.secret, j.started_at, j.ended_at, j.cancel_at, j.error,
		j.result, j.percent, j.message
