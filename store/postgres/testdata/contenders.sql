SELECT c.id, c.tenant_id, p.type, p.priority, p.rank, c.place
FROM unnest($4::text[], $5::integer[], $6::smallint[], $7::bigint[], $8::integer[]) AS p (type, tag_set, priority, bound, rank)
CROSS JOIN LATERAL (
	SELECT j.id, j.tenant_id, j.place FROM dormouse.jobs j
	WHERE j.ready AND j.organization_id = $1 AND j.type = p.type AND j.tag_set = p.tag_set
		AND j.priority = p.priority AND j.place >= p.bound
	ORDER BY j.place, j.id
	LIMIT $3
) c
WHERE NOT EXISTS (SELECT FROM dormouse.pauses x
		WHERE x.organization_id IN ($1, '00000000-0000-0000-0000-000000000000') AND x.type IN (p.type, '')
			AND (x.ends_at IS NULL OR x.ends_at > $2))
ORDER BY p.rank DESC, c.place, c.id
LIMIT $3
