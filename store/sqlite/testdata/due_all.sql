SELECT
		w.id, w.revision + o.revision + t.revision, w.organization_id, w.owner_id, w.template_id, w.name,
		w.created_at, w.wake_at, w.autostart, w.autostart_after, w.autostop, w.ttl, w.last_used_at,
		w.dormant_at, w.deleting_at, w.hold_until, w.hold_rules, w.hold_note, w.hold_by, w.stop_floor,
		w.dormancy_floor, w.delete_floor, w.template_seen, w.owner_seen, w.reminded_for, w.automatic_updates,
		w.managed, w.deleted, w.failures, w.start_failures, w.attention_at, w.backoff_until,
		w.backoff_attempts, w.backoff_cause, w.backoff_message, w.build_id, w.build_number,
		w.build_version_id, w.build_transition, w.build_reason, w.build_status, w.build_initiator,
		w.build_error, w.build_result, w.build_created_at, w.build_completed_at, w.build_due_at, w.build_ttl,
		w.build_run_since, w.build_deadline, w.build_max_deadline, o.name, o.status, o.quiet_hours, o.rules,
		o.autostart_after, (SELECT state FROM {engine} WHERE one = 1), t.revision
FROM {workspaces} w INDEXED BY {workspaces_due}
CROSS JOIN {owners} o INDEXED BY sqlite_autoindex_{owners}_1 ON o.id = w.owner_id
CROSS JOIN {templates} t INDEXED BY sqlite_autoindex_{templates}_1 ON t.id = w.template_id WHERE w.wake_at <= ? AND (w.wake_at, w.id) > (?, ?) ORDER BY w.wake_at, w.id LIMIT ?
