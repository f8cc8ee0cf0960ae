WITH RECURSIVE known AS (
	SELECT * FROM (SELECT
		unnest($4::text[]) AS type, unnest($5::integer[]) AS tag_set, unnest($6::smallint[]) AS priority,
		unnest($7::bigint[]) AS bound) AS k
), edge AS (
	SELECT type, tag_set, priority,
		lead(type) OVER line AS to_type, lead(tag_set) OVER line AS to_tag_set, lead(priority) OVER line AS to_priority
	FROM (SELECT '' AS type, 0 AS tag_set, 0::smallint AS priority UNION ALL SELECT type, tag_set, priority FROM known) e
	WINDOW line AS (ORDER BY type, tag_set, priority)
), gap AS (
	SELECT o.id AS organization_id, e.type, e.tag_set, e.priority, NULL::bigint AS place, NULL::timestamptz AS created_at,
		e.to_type, e.to_tag_set, e.to_priority
	FROM unnest($3::uuid[]) AS o (id) CROSS JOIN edge e
	UNION ALL
	SELECT s.*, g.to_type, g.to_tag_set, g.to_priority
	FROM gap g CROSS JOIN LATERAL (
		SELECT * FROM (
		(SELECT organization_id, type, tag_set, priority, place, created_at FROM dormouse.jobs
		WHERE g.to_type IS NULL AND ready AND organization_id = g.organization_id
			AND (type, tag_set, priority) > (g.type, g.tag_set, g.priority)
		ORDER BY type, tag_set, priority, place, id LIMIT 1)
		UNION ALL
		(SELECT organization_id, type, tag_set, priority, place, created_at FROM dormouse.jobs
		WHERE g.to_type > g.type AND ready AND organization_id = g.organization_id
			AND (type, tag_set, priority) > (g.type, g.tag_set, g.priority) AND type < g.to_type
		ORDER BY type, tag_set, priority, place, id LIMIT 1)
		UNION ALL
		(SELECT organization_id, type, tag_set, priority, place, created_at FROM dormouse.jobs
		WHERE g.to_type > g.type AND ready AND organization_id = g.organization_id
			AND type = g.to_type AND tag_set < g.to_tag_set
		ORDER BY type, tag_set, priority, place, id LIMIT 1)
		UNION ALL
		(SELECT organization_id, type, tag_set, priority, place, created_at FROM dormouse.jobs
		WHERE g.to_type = g.type AND g.to_tag_set > g.tag_set AND ready AND organization_id = g.organization_id
			AND type = g.type AND (tag_set, priority) > (g.tag_set, g.priority) AND tag_set < g.to_tag_set
		ORDER BY type, tag_set, priority, place, id LIMIT 1)
		UNION ALL
		(SELECT organization_id, type, tag_set, priority, place, created_at FROM dormouse.jobs
		WHERE (g.to_type, g.to_tag_set) > (g.type, g.tag_set) AND ready AND organization_id = g.organization_id
			AND type = g.to_type AND tag_set = g.to_tag_set AND priority < g.to_priority
		ORDER BY type, tag_set, priority, place, id LIMIT 1)
		UNION ALL
		(SELECT organization_id, type, tag_set, priority, place, created_at FROM dormouse.jobs
		WHERE (g.to_type, g.to_tag_set) = (g.type, g.tag_set) AND ready AND organization_id = g.organization_id
			AND type = g.type AND tag_set = g.tag_set AND priority > g.priority AND priority < g.to_priority
		ORDER BY type, tag_set, priority, place, id LIMIT 1)
		) part ORDER BY type, tag_set, priority LIMIT 1
	) s
), head AS (
	SELECT organization_id, type, tag_set, priority, place, created_at FROM gap WHERE place IS NOT NULL
	UNION ALL
	SELECT o.id, k.type, k.tag_set, k.priority, f.place, f.created_at
	FROM unnest($3::uuid[]) AS o (id) CROSS JOIN known k CROSS JOIN LATERAL (
		SELECT place, created_at FROM dormouse.jobs
		WHERE ready AND organization_id = o.id AND type = k.type AND tag_set = k.tag_set AND priority = k.priority AND place >= k.bound
		ORDER BY place, id LIMIT 1
	) f
)
SELECT l.organization_id, l.type, l.tag_set, l.priority, c.n, l.place, l.created_at, EXISTS (
	SELECT FROM dormouse.pauses x
	WHERE x.organization_id IN (l.organization_id, '00000000-0000-0000-0000-000000000000') AND x.type IN (l.type, '')
		AND (x.ends_at IS NULL OR x.ends_at > $2))
FROM head l CROSS JOIN LATERAL (
	SELECT count(*) AS n FROM (
		SELECT FROM dormouse.jobs
		WHERE ready AND organization_id = l.organization_id AND type = l.type AND tag_set = l.tag_set AND priority = l.priority
			AND place >= l.place
		ORDER BY place, id LIMIT $1
	) counted
) c
