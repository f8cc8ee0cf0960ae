WITH renewal AS (
	SELECT * FROM unnest(
		$1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::boolean[], $6::integer[], $7::text[],
		$8::integer[]
	) WITH ORDINALITY AS r (id, fence, process_id, worker_id, reports, percent, message, lines, n)
), taker AS (
	SELECT id FROM dormouse.processes
	WHERE id = ANY ($3) AND lost_at IS NULL
	ORDER BY id FOR KEY SHARE
), held AS (
	SELECT id, fence, state, process_id, worker_id, cancel_at, lines FROM dormouse.jobs
	WHERE id = ANY ($1)
	ORDER BY id FOR NO KEY UPDATE
), accepted AS (
	SELECT r.*, h.cancel_at, h.lines AS before,
		(h.process_id, h.worker_id) IS DISTINCT FROM (r.process_id, r.worker_id)
			OR r.reports OR r.lines > 0 AS changes
	FROM renewal r
	JOIN held h ON h.id = r.id AND h.fence = r.fence AND h.state = 1
	JOIN taker p ON p.id = r.process_id
), renewed AS (
	UPDATE dormouse.jobs j SET process_id = a.process_id, worker_id = a.worker_id,
		percent = CASE WHEN a.reports THEN a.percent ELSE j.percent END,
		message = CASE WHEN a.reports THEN a.message ELSE j.message END,
		lines = a.before + a.lines
	FROM accepted a WHERE j.id = a.id AND a.changes
), written AS (
	INSERT INTO dormouse.job_lines (job_id, seq, at, text)
	SELECT a.id, a.before + l.seq, l.at, l.text
	FROM unnest($9::uuid[], $10::bigint[], $11::timestamptz[], $12::text[]) AS l (id, seq, at, text)
	JOIN accepted a ON a.id = l.id
)
SELECT r.n, p.id IS NOT NULL, h.cancel_at IS NOT NULL
FROM renewal r JOIN held h ON h.id = r.id AND h.fence = r.fence AND h.state = 1 LEFT JOIN taker p ON p.id = r.process_id
