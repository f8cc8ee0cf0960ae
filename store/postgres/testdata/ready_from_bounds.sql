WITH RECURSIVE known AS MATERIALIZED (
	SELECT array_agg(type) AS type, array_agg(tag_set) AS tag_set, array_agg(priority) AS priority, array_agg(bound) AS bound
	FROM (
		SELECT * FROM (SELECT
		unnest($9::text[]) AS type, unnest($10::integer[]) AS tag_set, unnest($11::smallint[]) AS priority,
		unnest($12::bigint[]) AS bound) AS k
		WHERE (type, tag_set, priority) > ($5::text, $6::integer, $7::smallint)
		ORDER BY type, tag_set, priority
	) page
), walk AS (
	SELECT $4::integer AS org, $5::text AS type, $6::integer AS tag_set, $7::smallint AS priority, 1 AS front,
		NULL::bigint AS place, NULL::timestamptz AS created_at, 0 AS step
	UNION ALL
	SELECT n.*, g.step + 1 FROM (
		SELECT w.*, ($3::uuid[])[w.org] AS organization_id, k.type[w.front] AS to_type, k.tag_set[w.front] AS to_tag_set,
			k.priority[w.front] AS to_priority, k.bound[w.front] AS bound
		FROM walk w CROSS JOIN known k
		WHERE w.step < $8 AND w.org <= cardinality($3::uuid[])
	) g CROSS JOIN LATERAL (
		SELECT g.org, s.type, s.tag_set, s.priority, g.front, s.place, s.created_at FROM (
			SELECT * FROM (
			(SELECT type, tag_set, priority, place, created_at FROM dormouse.jobs
			WHERE g.to_type IS NULL AND ready AND organization_id = g.organization_id
				AND (type, tag_set, priority) > (g.type, g.tag_set, g.priority)
			ORDER BY type, tag_set, priority, place, id LIMIT 1)
			UNION ALL
			(SELECT type, tag_set, priority, place, created_at FROM dormouse.jobs
			WHERE g.to_type > g.type AND ready AND organization_id = g.organization_id
				AND (type, tag_set, priority) > (g.type, g.tag_set, g.priority) AND type < g.to_type
			ORDER BY type, tag_set, priority, place, id LIMIT 1)
			UNION ALL
			(SELECT type, tag_set, priority, place, created_at FROM dormouse.jobs
			WHERE g.to_type > g.type AND ready AND organization_id = g.organization_id
				AND type = g.to_type AND tag_set < g.to_tag_set
			ORDER BY type, tag_set, priority, place, id LIMIT 1)
			UNION ALL
			(SELECT type, tag_set, priority, place, created_at FROM dormouse.jobs
			WHERE g.to_type = g.type AND g.to_tag_set > g.tag_set AND ready AND organization_id = g.organization_id
				AND type = g.type AND (tag_set, priority) > (g.tag_set, g.priority) AND tag_set < g.to_tag_set
			ORDER BY type, tag_set, priority, place, id LIMIT 1)
			UNION ALL
			(SELECT type, tag_set, priority, place, created_at FROM dormouse.jobs
			WHERE (g.to_type, g.to_tag_set) > (g.type, g.tag_set) AND ready AND organization_id = g.organization_id
				AND type = g.to_type AND tag_set = g.to_tag_set AND priority < g.to_priority
			ORDER BY type, tag_set, priority, place, id LIMIT 1)
			UNION ALL
			(SELECT type, tag_set, priority, place, created_at FROM dormouse.jobs
			WHERE (g.to_type, g.to_tag_set) = (g.type, g.tag_set) AND ready AND organization_id = g.organization_id
				AND type = g.type AND tag_set = g.tag_set AND priority > g.priority AND priority < g.to_priority
			ORDER BY type, tag_set, priority, place, id LIMIT 1)
			) part ORDER BY type, tag_set, priority LIMIT 1
		) s
		UNION ALL
		SELECT g.org, g.to_type, g.to_tag_set, g.to_priority, g.front + 1, f.place, f.created_at
		FROM (SELECT WHERE g.to_type IS NOT NULL) known LEFT JOIN LATERAL (
			SELECT place, created_at FROM dormouse.jobs
			WHERE ready AND organization_id = g.organization_id AND type = g.to_type AND tag_set = g.to_tag_set
				AND priority = g.to_priority AND place >= g.bound
			ORDER BY place, id LIMIT 1
		) f ON true
		UNION ALL
		SELECT g.org + 1, '', 0, 0::smallint, 1, NULL, NULL WHERE g.to_type IS NULL
		LIMIT 1
	) n
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
