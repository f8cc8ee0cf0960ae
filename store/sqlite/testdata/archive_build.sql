WITH k(workspace_id, number, revision) AS (VALUES (?, ?, ?))
INSERT INTO {builds} (workspace_id,
		id, number, version_id, transition, reason, status, initiator, error, result, created_at,
		completed_at, due_at, ttl, run_since, deadline, max_deadline)
SELECT w.id,
		w.build_id, w.build_number, w.build_version_id, w.build_transition, w.build_reason, w.build_status,
		w.build_initiator, w.build_error, w.build_result, w.build_created_at, w.build_completed_at,
		w.build_due_at, w.build_ttl, w.build_run_since, w.build_deadline, w.build_max_deadline
FROM k CROSS JOIN {workspaces} w ON w.id = k.workspace_id AND w.build_number = k.number
AND w.revision + (SELECT revision FROM {owners} o WHERE o.id = w.owner_id)
	+ (SELECT revision FROM {templates} t WHERE t.id = w.template_id) = k.revision
