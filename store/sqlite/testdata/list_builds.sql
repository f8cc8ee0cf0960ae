SELECT
		id, number, version_id, transition, reason, status, initiator, error, result, created_at,
		completed_at, due_at, ttl, run_since, deadline, max_deadline, workspace_id, organization_id,
		owner_id, template_id, name FROM (
SELECT * FROM (
	SELECT
		build_id AS id, build_number AS number, build_version_id AS version_id,
		build_transition AS transition, build_reason AS reason, build_status AS status,
		build_initiator AS initiator, build_error AS error, build_result AS result,
		build_created_at AS created_at, build_completed_at AS completed_at, build_due_at AS due_at,
		build_ttl AS ttl, build_run_since AS run_since, build_deadline AS deadline,
		build_max_deadline AS max_deadline, w.id AS workspace_id, w.organization_id, w.owner_id, w.template_id, w.name
	FROM {workspaces} w INDEXED BY {workspaces_built}
	WHERE w.build_number > 0 AND (w.build_created_at, w.build_id) < (?1, ?2) AND w.build_created_at >= ?3 AND (?4 >> w.build_status & 1)
		AND (?5 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?5)))
	ORDER BY w.build_created_at DESC, w.build_id DESC LIMIT ?6)
UNION ALL
SELECT * FROM (
	SELECT
		b.id, b.number, b.version_id, b.transition, b.reason, b.status, b.initiator, b.error, b.result,
		b.created_at, b.completed_at, b.due_at, b.ttl, b.run_since, b.deadline, b.max_deadline, w.id AS workspace_id, w.organization_id, w.owner_id, w.template_id, w.name
	FROM {builds} b INDEXED BY {builds_created} CROSS JOIN {workspaces} w ON w.id = b.workspace_id
	WHERE (b.created_at, b.id) < (?1, ?2) AND b.created_at >= ?3 AND (?4 >> b.status & 1)
		AND (?5 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?5)))
	ORDER BY b.created_at DESC, b.id DESC LIMIT ?6)
)
ORDER BY created_at DESC, id DESC LIMIT ?6
