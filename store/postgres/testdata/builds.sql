SELECT
		id, number, version_id, transition, reason, status, initiator, error, result, created_at,
		completed_at, due_at, ttl_ns, run_since, deadline, max_deadline
FROM (
	SELECT
		build_id, build_number, build_version_id, build_transition, build_reason, build_status,
		build_initiator, build_error, build_result, build_created_at, build_completed_at, build_due_at,
		build_ttl_ns, build_run_since, build_deadline, build_max_deadline
	FROM dormouse.workspaces
	WHERE id = $1 AND build_number > 0 AND ($2::bigint <= 0 OR build_number < $2)
	UNION ALL
	(SELECT
		id, number, version_id, transition, reason, status, initiator, error, result, created_at,
		completed_at, due_at, ttl_ns, run_since, deadline, max_deadline
	FROM dormouse.builds
	WHERE workspace_id = $1 AND ($2::bigint <= 0 OR number < $2)
	ORDER BY number DESC LIMIT $3)
) b (
		id, number, version_id, transition, reason, status, initiator, error, result, created_at,
		completed_at, due_at, ttl_ns, run_since, deadline, max_deadline)
ORDER BY number DESC LIMIT $3
