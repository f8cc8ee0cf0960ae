SELECT
		id, number, workspace_id, organization_id, owner_id, template_id, name, version_id, transition,
		reason, status, initiator, error, result, created_at, completed_at, due_at, ttl_ns, run_since,
		deadline, max_deadline
FROM (
	(SELECT
		w.build_id, w.build_number, w.build_version_id, w.build_transition, w.build_reason, w.build_status,
		w.build_initiator, w.build_error, w.build_result, w.build_created_at, w.build_completed_at,
		w.build_due_at, w.build_ttl_ns, w.build_run_since, w.build_deadline, w.build_max_deadline, w.id, w.organization_id, w.owner_id, w.template_id, w.name
	FROM dormouse.workspaces w
	WHERE w.build_number > 0 AND (w.build_created_at, w.build_id) < ($1::timestamptz, $2::uuid) AND w.build_created_at >= $3::timestamptz
		AND $4::bigint >> w.build_status & 1 = 1 AND ($5::uuid[] IS NULL OR w.organization_id = ANY ($5))
	ORDER BY w.build_created_at DESC, w.build_id DESC LIMIT $6::integer)
	UNION ALL
	(SELECT
		b.id, b.number, b.version_id, b.transition, b.reason, b.status, b.initiator, b.error, b.result,
		b.created_at, b.completed_at, b.due_at, b.ttl_ns, b.run_since, b.deadline, b.max_deadline, w.id, w.organization_id, w.owner_id, w.template_id, w.name
	FROM dormouse.builds b JOIN dormouse.workspaces w ON w.id = b.workspace_id
	WHERE (b.created_at, b.id) < ($1::timestamptz, $2::uuid) AND b.created_at >= $3::timestamptz
		AND $4::bigint >> b.status & 1 = 1 AND ($5::uuid[] IS NULL OR w.organization_id = ANY ($5))
	ORDER BY b.created_at DESC, b.id DESC LIMIT $6::integer)
) f (
		id, number, version_id, transition, reason, status, initiator, error, result, created_at,
		completed_at, due_at, ttl_ns, run_since, deadline, max_deadline, workspace_id, organization_id, owner_id, template_id, name)
ORDER BY created_at DESC, id DESC LIMIT $6
