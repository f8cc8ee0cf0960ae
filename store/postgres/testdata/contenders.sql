SELECT c.id, c.tenant_id, p.type, p.priority, p.rank, c.place
FROM (SELECT
		unnest($5::text[]) AS type, unnest($6::integer[]) AS tag_set, unnest($7::smallint[]) AS priority,
		unnest($8::bigint[]) AS bound, unnest($9::integer[]) AS rank) AS p
CROSS JOIN LATERAL (
	SELECT j.id, j.tenant_id, j.place FROM dormouse.jobs j
	WHERE j.ready AND j.organization_id = $1 AND j.type = p.type AND j.tag_set = p.tag_set
		AND j.priority = p.priority AND j.place >= p.bound AND j.id <> ALL ($4::uuid[])
	ORDER BY j.place, j.id
	LIMIT $3
) c
WHERE NOT EXISTS (SELECT FROM dormouse.pauses x
		WHERE x.organization_id IN ($1, '00000000-0000-0000-0000-000000000000') AND x.type IN (p.type, '')
			AND (x.ends_at IS NULL OR x.ends_at > $2))
ORDER BY p.rank DESC, c.place, c.id
LIMIT $3
