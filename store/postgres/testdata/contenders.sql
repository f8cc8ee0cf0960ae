SELECT c.id, c.tenant_id, p.type, p.priority, p.rank, c.place
FROM unnest($7::text[], $8::integer[], $9::smallint[], $10::bigint[], $11::integer[]) AS p (type, tag_set, priority, bound, rank)
CROSS JOIN LATERAL (
	SELECT j.id, j.tenant_id, j.place FROM dormouse.jobs j
	WHERE j.ready AND j.organization_id = $1 AND j.type = p.type AND j.tag_set = p.tag_set
		AND j.priority = p.priority AND j.place >= p.bound
		AND (p.rank < $2 OR p.rank = $2 AND (j.place, j.id) > ($3, $4))
		AND j.tenant_id <> ALL ($5::uuid[])
	ORDER BY j.place, j.id
	LIMIT $6
) c
ORDER BY p.rank DESC, c.place, c.id
LIMIT $6
