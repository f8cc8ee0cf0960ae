WITH RECURSIVE walk AS (
	SELECT $4::integer AS org, $5::text AS type, $6::integer AS tag_set, $7::smallint AS priority,
		NULL::bigint AS place, NULL::timestamptz AS created_at, 0 AS step
	UNION ALL
	SELECT n.*, w.step + 1 FROM walk w CROSS JOIN LATERAL (
		(SELECT w.org, type, tag_set, priority, place, created_at FROM dormouse.jobs
		WHERE ready AND organization_id = ($3::uuid[])[w.org] AND (type, tag_set, priority) > (w.type, w.tag_set, w.priority)
		ORDER BY type, tag_set, priority, place, id LIMIT 1)
		UNION ALL
		SELECT w.org + 1, '', 0, 0::smallint, NULL, NULL
		LIMIT 1
	) n
	WHERE w.step < $8 AND w.org <= cardinality($3::uuid[])
), head AS (
	SELECT ($3::uuid[])[org] AS organization_id, type, tag_set, priority, place, created_at, org, step FROM walk
)
SELECT l.organization_id, l.type, l.tag_set, l.priority, CASE WHEN l.place IS NULL THEN 0 WHEN $1 = 1 THEN 1 ELSE (
	SELECT count(*) FROM (
		SELECT FROM dormouse.jobs
		WHERE ready AND organization_id = l.organization_id AND type = l.type AND tag_set = l.tag_set AND priority = l.priority
			AND place >= l.place
		ORDER BY place, id LIMIT $1
	) counted
) END, coalesce(l.place, 0), l.created_at, EXISTS (
	SELECT FROM dormouse.pauses x
	WHERE x.organization_id IN (l.organization_id, '00000000-0000-0000-0000-000000000000') AND x.type IN (l.type, '')
		AND (x.ends_at IS NULL OR x.ends_at > $2)), l.org, l.step
FROM head l WHERE l.step > 0
