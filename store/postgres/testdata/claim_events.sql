WITH RECURSIVE fresh AS MATERIALIZED (
	SELECT f.topic, f.seq, f.free_at FROM unnest($1::smallint[]) AS t (topic) CROSS JOIN LATERAL (
		SELECT e.topic, e.seq, e.free_at FROM (
			SELECT n.topic, n.seq FROM (
				SELECT e.topic, e.seq, e.workspace_id FROM dormouse.events e
				WHERE e.topic BETWEEN t.topic AND t.topic AND e.free_at IS NULL
				ORDER BY e.topic, e.seq LIMIT $5
			) n WHERE n.seq = (
			SELECT b.seq FROM dormouse.events b
			WHERE b.workspace_id = n.workspace_id AND b.topic BETWEEN t.topic AND t.topic
			ORDER BY b.topic, b.seq LIMIT 1)
		) h JOIN dormouse.events e ON e.seq = h.seq
		WHERE e.free_at IS NULL
		ORDER BY h.topic, h.seq
		LIMIT $4
		FOR UPDATE OF e SKIP LOCKED
	) f
), oldest AS MATERIALIZED (
	SELECT seq FROM fresh ORDER BY seq LIMIT $4
), newest AS MATERIALIZED (
	SELECT f.topic, f.seq, f.free_at FROM unnest($1::smallint[]) AS t (topic) CROSS JOIN LATERAL (
		SELECT e.topic, e.seq, e.free_at FROM (
			SELECT n.topic, n.seq FROM (
				SELECT e.topic, e.seq, e.workspace_id FROM dormouse.events e
				WHERE e.topic BETWEEN t.topic AND t.topic AND e.free_at IS NULL AND (SELECT count(*) FROM oldest) >= $4 AND e.seq > (SELECT max(o.seq) FROM oldest o)
				ORDER BY e.topic DESC, e.seq DESC LIMIT $5
			) n WHERE n.seq = (
			SELECT b.seq FROM dormouse.events b
			WHERE b.workspace_id = n.workspace_id AND b.topic BETWEEN t.topic AND t.topic
			ORDER BY b.topic, b.seq LIMIT 1)
		) h JOIN dormouse.events e ON e.seq = h.seq
		WHERE e.free_at IS NULL
		ORDER BY h.topic DESC, h.seq DESC
		LIMIT $4
		FOR UPDATE OF e SKIP LOCKED
	) f
), tried AS MATERIALIZED (
	SELECT f.topic, f.seq, f.free_at FROM unnest($1::smallint[]) AS t (topic) CROSS JOIN LATERAL (
		SELECT e.topic, e.seq, e.free_at FROM dormouse.events e
		WHERE e.topic BETWEEN t.topic AND t.topic AND e.free_at <= $2 AND e.seq = (
			SELECT b.seq FROM dormouse.events b
			WHERE b.workspace_id = e.workspace_id AND b.topic BETWEEN t.topic AND t.topic
			ORDER BY b.topic, b.seq LIMIT 1)
		ORDER BY e.topic, e.free_at, e.seq
		LIMIT $4
		FOR UPDATE OF e SKIP LOCKED
	) f
), looked AS MATERIALIZED (
	SELECT EXISTS (
		SELECT FROM unnest($1::smallint[]) AS t (topic)
		WHERE CASE WHEN (SELECT count(*) FROM fresh f WHERE f.topic = t.topic) < $4 THEN (
			SELECT e.seq FROM dormouse.events e
			WHERE e.topic BETWEEN t.topic AND t.topic AND e.free_at IS NULL
			ORDER BY e.topic, e.seq OFFSET $5 LIMIT 1) IS NOT NULL END) OR EXISTS (
		SELECT FROM unnest($1::smallint[]) AS t (topic)
		WHERE CASE WHEN (SELECT count(*) FROM newest f WHERE f.topic = t.topic) < $4 THEN (
			SELECT e.seq FROM dormouse.events e
			WHERE e.topic BETWEEN t.topic AND t.topic AND e.free_at IS NULL AND (SELECT count(*) FROM oldest) >= $4 AND e.seq > (SELECT max(o.seq) FROM oldest o)
			ORDER BY e.topic DESC, e.seq DESC OFFSET $5 LIMIT 1) IS NOT NULL END) AS cut
), shared AS (
	SELECT seq, n, kind FROM (
		SELECT seq, row_number() OVER (ORDER BY seq) AS n, 1 AS kind FROM oldest
		UNION ALL
		SELECT seq, row_number() OVER (ORDER BY free_at, seq), 2 FROM tried
		UNION ALL
		SELECT seq, row_number() OVER (ORDER BY seq DESC), 3 FROM newest
	) ranked
	WHERE NOT (SELECT cut FROM looked)
	ORDER BY n, kind
	LIMIT $4
), claimed AS (
	UPDATE dormouse.events e SET attempt = e.attempt + 1, free_at = $3
	FROM shared s WHERE e.seq = s.seq
	RETURNING e.seq, e.attempt, e.body
)
SELECT seq, attempt, body FROM claimed
UNION ALL
SELECT 0, 0, 'null' FROM looked WHERE cut
UNION ALL
SELECT ('a trigger kept ' || count(*) || ' events from being written')::bigint, NULL, NULL FROM shared HAVING count(*) > (SELECT count(*) FROM claimed)
