WITH wanted AS (
	SELECT j.* FROM (SELECT
		unnest($1::uuid[]) AS id, unnest($2::uuid[]) AS organization_id, unnest($3::uuid[]) AS tenant_id,
		unnest($4::text[]) AS type, unnest($5::integer[]) AS tag_set, unnest($6::smallint[]) AS priority,
		unnest($7::integer[]) AS weight, unnest($8::bytea[]) AS payload, unnest($9::text[]) AS trace,
		unnest($10::timestamptz[]) AS created_at, unnest($11::timestamptz[]) AS ready_at,
		unnest($12::text[]) AS unique_key, unnest($13::bigint[]) AS run_limit, unnest($14::bigint[]) AS step,
		generate_subscripts($1::uuid[], 1) AS n) AS j
	WHERE NOT EXISTS (SELECT FROM dormouse.jobs x WHERE x.id = j.id)
		AND NOT EXISTS (SELECT FROM dormouse.jobs x
			WHERE x.organization_id = j.organization_id AND x.type = j.type AND x.unique_key = j.unique_key AND x.state < 2)
), posted AS (
	SELECT w.*,
		sum(step) OVER line AS upto,
		first_value(step) OVER line AS first_step,
		dense_rank() OVER (ORDER BY organization_id, priority, tenant_id) AS turn_no
	FROM wanted w
	WINDOW line AS (PARTITION BY organization_id, priority, tenant_id ORDER BY n)
), tenant AS (
	SELECT organization_id, priority, tenant_id, first_step, sum(step) AS steps FROM posted
	GROUP BY organization_id, priority, tenant_id, first_step
), turn AS (
	INSERT INTO dormouse.turns AS t (organization_id, priority, tenant_id, place, step)
	SELECT p.organization_id, p.priority, p.tenant_id,
		greatest(p.first_step, (
		SELECT c.place + 1048 FROM dormouse.claimed c
		WHERE c.organization_id = p.organization_id AND c.priority = p.priority
		ORDER BY c.place DESC LIMIT 1)) + p.steps - p.first_step, p.steps
	FROM tenant p
	ORDER BY p.organization_id, p.priority, p.tenant_id
	ON CONFLICT (organization_id, priority, tenant_id) DO UPDATE
	SET place = greatest(t.place + excluded.step, excluded.place), step = excluded.step
	RETURNING organization_id, priority, tenant_id, place, step
)
	INSERT INTO dormouse.jobs AS j (ready, place,
		id, organization_id, tenant_id, type, tag_set, priority, weight, payload, trace, created_at,
		ready_at, unique_key, run_limit)
	SELECT p.ready_at <= p.created_at,
		(SELECT array_agg(place - step ORDER BY organization_id, priority, tenant_id) FROM turn)[p.turn_no::integer] + p.upto,
		p.id, p.organization_id, p.tenant_id, p.type, (SELECT t.id FROM dormouse.tag_sets t WHERE t.id = p.tag_set), p.priority, p.weight, p.payload, p.trace,
		p.created_at, p.ready_at, p.unique_key, p.run_limit
	FROM posted p
	ORDER BY p.id
	ON CONFLICT DO NOTHING
RETURNING
		j.id, j.organization_id, j.tenant_id, j.type, j.tag_set, j.priority, j.weight, j.payload, j.trace,
		j.unique_key, j.run_limit, j.round, j.created_at, j.state, j.place, j.ready_at, j.attempt, j.fence,
		j.cancel_at
