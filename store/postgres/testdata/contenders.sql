SELECT c.id, c.tenant_id, p.type, p.priority, p.rank, c.place
FROM unnest($1::text[], $2::integer[], $3::smallint[], $4::bigint[], $5::integer[])
	AS p (type, tag_set, priority, bound, rank)
CROSS JOIN LATERAL (
	SELECT j.id, j.tenant_id, j.place FROM dormouse.jobs j
	WHERE j.ready AND j.organization_id = $6 AND j.type = p.type AND j.tag_set = p.tag_set
		AND j.priority = p.priority AND j.place >= p.bound AND j.ready_at <= $7
		AND (p.rank < $8 OR p.rank = $8 AND (j.place, j.id) > ($9, $10))
		AND j.tenant_id <> ALL ($11::uuid[])
	ORDER BY j.place, j.id
	LIMIT $12
) c
ORDER BY p.rank DESC, c.place, c.id
LIMIT $12
