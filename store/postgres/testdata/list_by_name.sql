SELECT
		w.id, w.organization_id, w.owner_id, w.template_id, w.name, w.created_at, w.revision, w.wake_at,
		w.autostart, w.autostart_after, w.autostop, w.ttl_ns, w.last_used_at, w.dormant_at, w.deleting_at,
		w.hold_until, w.hold_rules, w.hold_note, w.hold_by, w.stop_floor, w.dormancy_floor, w.delete_floor,
		w.template_seen, w.owner_seen, w.reminded_for, w.automatic_updates, w.managed, w.deleted, w.failures,
		w.start_failures, w.attention_at, w.backoff_until, w.backoff_attempts, w.backoff_cause,
		w.backoff_message, w.build_id, w.build_number, w.build_version_id, w.build_transition,
		w.build_reason, w.build_status, w.build_initiator, w.build_error, w.build_result, w.build_created_at,
		w.build_completed_at, w.build_due_at, w.build_ttl_ns, w.build_run_since, w.build_deadline,
		w.build_max_deadline, o.name, o.status, o.quiet_hours, o.rules, o.autostart_after, t.organization_id,
		t.name, t.active_version_id, t.revision, t.rules, t.policy, t.state,
		(SELECT state FROM dormouse.engine)
FROM (
	SELECT w.* FROM unnest($1::uuid[]) o (id) CROSS JOIN LATERAL (
	SELECT w.* FROM dormouse.workspace_keys k JOIN dormouse.workspaces w ON w.id = k.id
	WHERE 
		(k.organization_id, k.name COLLATE "C", k.id) > (o.id, $9, $8)
		AND (k.organization_id, k.name COLLATE "C") < (o.id, $6) AND octet_length(k.name) <= 2000 AND
		($1::uuid[] IS NULL OR w.organization_id = ANY ($1)) AND ($2::uuid IS NULL OR w.template_id = $2)
		AND ($3::uuid IS NULL OR w.owner_id = $3)
		AND $4::bigint >> w.status & 1 = 1 AND (NOT $5::boolean OR w.build_status BETWEEN 1 AND 3)
		AND $6::text IS NOT NULL AND $7::timestamptz IS NOT NULL AND $8::uuid IS NOT NULL AND $9::text IS NOT NULL
		AND $10::timestamptz IS NOT NULL
	ORDER BY k.organization_id, k.name COLLATE "C", k.id LIMIT $11::integer
	) w ORDER BY w.name COLLATE "C", w.id LIMIT $11
) w
JOIN dormouse.owners o ON o.id = w.owner_id
JOIN dormouse.templates t ON t.id = w.template_id
ORDER BY w.name COLLATE "C", w.id
