SELECT c.id, c.tenant_id, p.type, p.priority, p.rank, c.place
FROM unnest($8::text[], $9::integer[], $10::smallint[], $11::bigint[], $12::integer[]) AS p (type, tag_set, priority, bound, rank)
CROSS JOIN LATERAL (
	SELECT j.id, j.tenant_id, j.place FROM dormouse.jobs j
	WHERE j.ready AND j.organization_id = $1 AND j.type = p.type AND j.tag_set = p.tag_set
		AND j.priority = p.priority AND j.place >= p.bound AND j.ready_at <= $2
		AND (p.rank < $3 OR p.rank = $3 AND (j.place, j.id) > ($4, $5))
		AND j.tenant_id <> ALL ($6::uuid[])
	ORDER BY j.place, j.id
	LIMIT $7
) c
ORDER BY p.rank DESC, c.place, c.id
LIMIT $7
