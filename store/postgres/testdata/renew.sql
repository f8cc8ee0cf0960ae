WITH renewal AS (
	SELECT * FROM unnest(
		$2::uuid[], $3::bigint[], $4::uuid[], $5::boolean[], $6::integer[], $7::text[], $8::integer[],
		$9::bigint[], $10::bigint[], $11::text[], $12::uuid[], $13::uuid[], $14::bytea[]
	) WITH ORDINALITY AS r (
		id, fence, process_id, reports, percent, message, lines, size, bound, log_end, organization_id,
		worker_id, secret, n
	)
), line AS (
	SELECT * FROM unnest($15::bigint[], $16::bigint[], $17::timestamptz[], $18::text[], $19::bigint[]) AS l (renewal, seq, at, text, upto)
), taker AS (
	SELECT id FROM dormouse.processes
	WHERE id = ANY ($4) AND lost_at IS NULL
	ORDER BY id FOR KEY SHARE
), held AS (
	SELECT id, fence, state, process_id, organization_id, worker_id, secret, cancel_at, lines, log_size FROM dormouse.jobs
	WHERE id = ANY ($2)
	ORDER BY id FOR NO KEY UPDATE
), accepted AS (
	SELECT r.*, h.cancel_at, h.lines AS before, h.log_size,
		h.process_id IS DISTINCT FROM r.process_id OR r.reports AS changes,
		h.log_size <= r.bound AS open,
		h.log_size <= r.bound AND h.log_size + r.size > r.bound AS closing,
		(SELECT count(*) FROM line l WHERE l.renewal = r.n AND h.log_size + l.upto <= r.bound) AS kept
	FROM renewal r
	JOIN held h ON h.state = 1 AND h.id = r.id AND h.fence = r.fence AND h.organization_id = r.organization_id
		AND h.worker_id = r.worker_id AND h.secret = r.secret
	JOIN taker p ON p.id = r.process_id
), renewed AS (
	UPDATE dormouse.jobs j SET process_id = a.process_id,
		percent = CASE WHEN a.reports THEN a.percent ELSE j.percent END,
		message = CASE WHEN a.reports THEN a.message ELSE j.message END,
		lines = a.before + a.kept + a.closing::integer,
		log_size = CASE WHEN a.open THEN a.log_size + a.size ELSE a.log_size END
	FROM accepted a WHERE j.id = a.id AND (a.changes OR a.open AND a.lines > 0)
), written AS (
	INSERT INTO dormouse.job_lines (job_id, seq, at, text)
	SELECT a.id, a.before + l.seq, l.at, l.text FROM line l JOIN accepted a ON a.n = l.renewal
	WHERE a.log_size + l.upto <= a.bound
	UNION ALL
	SELECT a.id, a.before + a.kept + 1, $1, a.log_end FROM accepted a WHERE a.closing
)
SELECT r.n, p.id IS NOT NULL, h.cancel_at IS NOT NULL
FROM renewal r JOIN held h ON h.state = 1 AND h.id = r.id AND h.fence = r.fence AND h.organization_id = r.organization_id
		AND h.worker_id = r.worker_id AND h.secret = r.secret LEFT JOIN taker p ON p.id = r.process_id
