WITH renewal AS (
	SELECT * FROM unnest(
		$1::uuid[], $2::bigint[], $3::uuid[], $4::boolean[], $5::integer[], $6::text[], $7::integer[],
		$8::uuid[], $9::uuid[], $10::bytea[]
	) WITH ORDINALITY AS r (id, fence, process_id, reports, percent, message, lines, organization_id, worker_id, secret, n)
), taker AS (
	SELECT id FROM dormouse.processes
	WHERE id = ANY ($3) AND lost_at IS NULL
	ORDER BY id FOR KEY SHARE
), held AS (
	SELECT id, fence, state, process_id, organization_id, worker_id, secret, cancel_at, lines FROM dormouse.jobs
	WHERE id = ANY ($1)
	ORDER BY id FOR NO KEY UPDATE
), accepted AS (
	SELECT r.*, h.cancel_at, h.lines AS before,
		h.process_id IS DISTINCT FROM r.process_id OR r.reports OR r.lines > 0 AS changes
	FROM renewal r
	JOIN held h ON h.state = 1 AND h.id = r.id AND h.fence = r.fence AND h.organization_id = r.organization_id
		AND h.worker_id = r.worker_id AND h.secret = r.secret
	JOIN taker p ON p.id = r.process_id
), renewed AS (
	UPDATE dormouse.jobs j SET process_id = a.process_id,
		percent = CASE WHEN a.reports THEN a.percent ELSE j.percent END,
		message = CASE WHEN a.reports THEN a.message ELSE j.message END,
		lines = a.before + a.lines
	FROM accepted a WHERE j.id = a.id AND a.changes
), written AS (
	INSERT INTO dormouse.job_lines (job_id, seq, at, text)
	SELECT a.id, a.before + l.seq, l.at, l.text
	FROM unnest($11::uuid[], $12::bigint[], $13::timestamptz[], $14::text[]) AS l (id, seq, at, text)
	JOIN accepted a ON a.id = l.id
)
SELECT r.n, p.id IS NOT NULL, h.cancel_at IS NOT NULL
FROM renewal r JOIN held h ON h.state = 1 AND h.id = r.id AND h.fence = r.fence AND h.organization_id = r.organization_id
		AND h.worker_id = r.worker_id AND h.secret = r.secret LEFT JOIN taker p ON p.id = r.process_id
