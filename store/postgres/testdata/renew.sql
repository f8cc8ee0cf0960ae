WITH renewal AS (
	SELECT * FROM unnest(
		$2::uuid[], $3::bigint[], $4::uuid[], $5::uuid[], $6::boolean[], $7::integer[], $8::text[],
		$9::integer[], $10::bigint[], $11::bigint[], $12::text[]
	) WITH ORDINALITY AS r (id, fence, process_id, worker_id, reports, percent, message, lines, size, bound, log_end, n)
), line AS (
	SELECT * FROM unnest($13::uuid[], $14::bigint[], $15::timestamptz[], $16::text[], $17::bigint[]) AS l (id, seq, at, text, upto)
), taker AS (
	SELECT id FROM dormouse.processes
	WHERE id = ANY ($4) AND lost_at IS NULL
	ORDER BY id FOR KEY SHARE
), held AS (
	SELECT id, fence, state, process_id, worker_id, cancel_at, lines, log_size FROM dormouse.jobs
	WHERE id = ANY ($2)
	ORDER BY id FOR NO KEY UPDATE
), accepted AS (
	SELECT r.*, h.cancel_at, h.lines AS before, h.log_size,
		(h.process_id, h.worker_id) IS DISTINCT FROM (r.process_id, r.worker_id) OR r.reports AS changes,
		h.log_size <= r.bound AS open,
		h.log_size <= r.bound AND h.log_size + r.size > r.bound AS closing,
		(SELECT count(*) FROM line l WHERE l.id = r.id AND h.log_size + l.upto <= r.bound) AS kept
	FROM renewal r
	JOIN held h ON h.id = r.id AND h.fence = r.fence AND h.state = 1
	JOIN taker p ON p.id = r.process_id
), renewed AS (
	UPDATE dormouse.jobs j SET process_id = a.process_id, worker_id = a.worker_id,
		percent = CASE WHEN a.reports THEN a.percent ELSE j.percent END,
		message = CASE WHEN a.reports THEN a.message ELSE j.message END,
		lines = a.before + a.kept + a.closing::integer,
		log_size = CASE WHEN a.open THEN a.log_size + a.size ELSE a.log_size END
	FROM accepted a WHERE j.id = a.id AND (a.changes OR a.open AND a.lines > 0)
), written AS (
	INSERT INTO dormouse.job_lines (job_id, seq, at, text)
	SELECT a.id, a.before + l.seq, l.at, l.text FROM line l JOIN accepted a ON a.id = l.id
	WHERE a.log_size + l.upto <= a.bound
	UNION ALL
	SELECT a.id, a.before + a.kept + 1, $1, a.log_end FROM accepted a WHERE a.closing
)
SELECT r.n, p.id IS NOT NULL, h.cancel_at IS NOT NULL
FROM renewal r JOIN held h ON h.id = r.id AND h.fence = r.fence AND h.state = 1 LEFT JOIN taker p ON p.id = r.process_id
