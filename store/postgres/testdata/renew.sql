WITH renewal AS (
	SELECT * FROM (SELECT
		unnest($2::uuid[]) AS id, unnest($3::bigint[]) AS fence, unnest($4::uuid[]) AS process_id,
		unnest($5::boolean[]) AS reports, unnest($6::integer[]) AS percent, unnest($7::text[]) AS message,
		unnest($8::integer[]) AS lines, unnest($9::bigint[]) AS size, unnest($10::bigint[]) AS bound,
		unnest($11::text[]) AS log_end, unnest($12::uuid[]) AS organization_id,
		unnest($13::uuid[]) AS worker_id, unnest($14::bytea[]) AS secret,
		generate_subscripts($2::uuid[], 1) AS n) AS r
), line AS (
	SELECT * FROM (SELECT
		unnest($15::bigint[]) AS renewal, unnest($16::bigint[]) AS seq, unnest($17::timestamptz[]) AS at,
		unnest($18::text[]) AS text, unnest($19::bigint[]) AS upto) AS l
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
	RETURNING 1
), written AS (
	INSERT INTO dormouse.job_lines (job_id, seq, at, text)
	SELECT a.id, a.before + l.seq, l.at, l.text FROM line l JOIN accepted a ON a.n = l.renewal
	WHERE a.log_size + l.upto <= a.bound
	UNION ALL
	SELECT a.id, a.before + a.kept + 1, $1, a.log_end FROM accepted a WHERE a.closing
)
SELECT NULL::uuid, r.n, p.id IS NOT NULL, h.cancel_at IS NOT NULL
FROM renewal r JOIN held h ON h.state = 1 AND h.id = r.id AND h.fence = r.fence AND h.organization_id = r.organization_id
		AND h.worker_id = r.worker_id AND h.secret = r.secret LEFT JOIN taker p ON p.id = r.process_id
UNION ALL
SELECT ('a trigger kept ' || count(*) || ' jobs from being written')::uuid, NULL, NULL, NULL FROM accepted a WHERE a.changes OR a.open AND a.lines > 0 HAVING count(*) > (SELECT count(*) FROM renewed)
