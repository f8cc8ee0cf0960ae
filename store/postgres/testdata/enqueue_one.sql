WITH turn AS (
	INSERT INTO dormouse.turns AS t (organization_id, priority, tenant_id, place, step)
	SELECT p.organization_id, p.priority, p.tenant_id,
		greatest(p.step, (
		SELECT c.place + 1048 FROM dormouse.claimed c
		WHERE c.organization_id = p.organization_id AND c.priority = p.priority
		ORDER BY c.place DESC LIMIT 1)), p.step
	FROM (SELECT
		($1::uuid[])[1] AS id, ($2::uuid[])[1] AS organization_id, ($3::uuid[])[1] AS tenant_id,
		($4::text[])[1] AS type, ($5::integer[])[1] AS tag_set, ($6::smallint[])[1] AS priority,
		($7::integer[])[1] AS weight, ($8::bytea[])[1] AS payload, ($9::text[])[1] AS trace,
		($10::timestamptz[])[1] AS created_at, ($11::timestamptz[])[1] AS ready_at,
		($12::text[])[1] AS unique_key, ($13::bigint[])[1] AS run_limit, ($14::bigint[])[1] AS step) AS p
	WHERE NOT EXISTS (SELECT FROM dormouse.jobs x WHERE x.id = p.id)
		AND NOT EXISTS (SELECT FROM dormouse.jobs x
			WHERE x.organization_id = p.organization_id AND x.type = p.type AND x.unique_key = p.unique_key AND x.state < 2)
	ON CONFLICT (organization_id, priority, tenant_id) DO UPDATE
	SET place = greatest(t.place + excluded.step, excluded.place), step = excluded.step
	RETURNING organization_id, priority, tenant_id, place, step
)
	INSERT INTO dormouse.jobs AS j (ready, place,
		id, organization_id, tenant_id, type, tag_set, priority, weight, payload, trace, created_at,
		ready_at, unique_key, run_limit)
	SELECT p.ready_at <= p.created_at,
		turn.place,
		p.id, p.organization_id, p.tenant_id, p.type, (SELECT t.id FROM dormouse.tag_sets t WHERE t.id = p.tag_set), p.priority, p.weight, p.payload, p.trace,
		p.created_at, p.ready_at, p.unique_key, p.run_limit
	FROM turn CROSS JOIN (SELECT
		($1::uuid[])[1] AS id, ($2::uuid[])[1] AS organization_id, ($3::uuid[])[1] AS tenant_id,
		($4::text[])[1] AS type, ($5::integer[])[1] AS tag_set, ($6::smallint[])[1] AS priority,
		($7::integer[])[1] AS weight, ($8::bytea[])[1] AS payload, ($9::text[])[1] AS trace,
		($10::timestamptz[])[1] AS created_at, ($11::timestamptz[])[1] AS ready_at,
		($12::text[])[1] AS unique_key, ($13::bigint[])[1] AS run_limit, ($14::bigint[])[1] AS step) AS p
	ON CONFLICT DO NOTHING
RETURNING
		j.id, j.organization_id, j.tenant_id, j.type, j.tag_set, j.priority, j.weight, j.payload, j.trace,
		j.unique_key, j.run_limit, j.round, j.created_at, j.state, j.place, j.ready_at, j.attempt, j.fence,
		j.cancel_at
