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
	SELECT * FROM dormouse.workspaces w
	WHERE w.wake_at <= $3 AND (w.wake_at, w.id) > ($4, $5) AND ($2::bigint <= 1 OR ('x' || right(w.id::text, 8))::bit(32)::bigint % $2::bigint = $1::bigint)
	ORDER BY w.wake_at, w.id
	LIMIT $6
) w
JOIN dormouse.owners o ON o.id = w.owner_id
JOIN dormouse.templates t ON t.id = w.template_id
ORDER BY w.wake_at, w.id
