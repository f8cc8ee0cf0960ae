WITH oldest AS MATERIALIZED (
	SELECT f.seq, f.free_at FROM unnest($1::smallint[]) AS t (topic) CROSS JOIN LATERAL (
		SELECT e.seq, e.free_at FROM dormouse.events e
		WHERE e.topic = t.topic AND e.free_at IS NULL
			AND NOT EXISTS (
				SELECT FROM dormouse.events b
				WHERE b.workspace_id = e.workspace_id AND b.topic = e.topic AND b.seq < e.seq)
		ORDER BY e.seq
		LIMIT $4
		FOR UPDATE OF e SKIP LOCKED
	) f
), newest AS MATERIALIZED (
	SELECT f.seq, f.free_at FROM unnest($1::smallint[]) AS t (topic) CROSS JOIN LATERAL (
		SELECT e.seq, e.free_at FROM dormouse.events e
		WHERE e.topic = t.topic AND e.free_at IS NULL AND (SELECT count(*) FROM oldest) >= $4 AND e.seq > (SELECT max(o.seq) FROM oldest o)
			AND NOT EXISTS (
				SELECT FROM dormouse.events b
				WHERE b.workspace_id = e.workspace_id AND b.topic = e.topic AND b.seq < e.seq)
		ORDER BY e.seq DESC
		LIMIT $4
		FOR UPDATE OF e SKIP LOCKED
	) f
), tried AS MATERIALIZED (
	SELECT f.seq, f.free_at FROM unnest($1::smallint[]) AS t (topic) CROSS JOIN LATERAL (
		SELECT e.seq, e.free_at FROM dormouse.events e
		WHERE e.topic = t.topic AND e.free_at <= $2
			AND NOT EXISTS (
				SELECT FROM dormouse.events b
				WHERE b.workspace_id = e.workspace_id AND b.topic = e.topic AND b.seq < e.seq)
		ORDER BY e.free_at, e.seq
		LIMIT $4
		FOR UPDATE OF e SKIP LOCKED
	) f
), shared AS (
	SELECT seq FROM (
		SELECT seq, row_number() OVER (ORDER BY seq) AS n, 1 AS kind FROM oldest
		UNION ALL
		SELECT seq, row_number() OVER (ORDER BY free_at, seq), 2 FROM tried
		UNION ALL
		SELECT seq, row_number() OVER (ORDER BY seq DESC), 3 FROM newest
	) ranked
	ORDER BY n, kind
	LIMIT $4
)
UPDATE dormouse.events e SET attempt = e.attempt + 1, free_at = $3
FROM shared s WHERE e.seq = s.seq
RETURNING e.seq, e.attempt, e.body
