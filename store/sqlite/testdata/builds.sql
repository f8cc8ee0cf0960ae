SELECT
		id, number, version_id, transition, reason, status, initiator, error, result, created_at,
		completed_at, due_at, ttl, run_since, deadline, max_deadline FROM (
SELECT
		build_id AS id, build_number AS number, build_version_id AS version_id,
		build_transition AS transition, build_reason AS reason, build_status AS status,
		build_initiator AS initiator, build_error AS error, build_result AS result,
		build_created_at AS created_at, build_completed_at AS completed_at, build_due_at AS due_at,
		build_ttl AS ttl, build_run_since AS run_since, build_deadline AS deadline,
		build_max_deadline AS max_deadline
FROM {workspaces} WHERE id = ?1 AND build_number > 0 AND build_number < ?2
UNION ALL
SELECT
		id, number, version_id, transition, reason, status, initiator, error, result, created_at,
		completed_at, due_at, ttl, run_since, deadline, max_deadline
FROM {builds} WHERE workspace_id = ?1 AND number < ?2
)
ORDER BY number DESC LIMIT ?3
