UPDATE {workspaces} SET revision = revision + 1, wake_at = ?,
		autostart = ?, autostart_after = ?, autostop = ?, ttl = ?, last_used_at = ?, dormant_at = ?,
		deleting_at = ?, hold_until = ?, hold_rules = ?, hold_note = ?, hold_by = ?, stop_floor = ?,
		dormancy_floor = ?, delete_floor = ?, reminded_for = ?, automatic_updates = ?, managed = ?,
		deleted = ?, failures = ?, start_failures = ?, attention_at = ?, backoff_until = ?,
		backoff_attempts = ?, backoff_cause = ?, backoff_message = ?, template_seen = ?, owner_seen = ?,
		build_id = ?, build_number = ?, build_version_id = ?, build_transition = ?, build_reason = ?,
		build_status = ?, build_initiator = ?, build_error = ?, build_result = ?, build_created_at = ?,
		build_completed_at = ?, build_due_at = ?, build_ttl = ?, build_run_since = ?, build_deadline = ?,
		build_max_deadline = ?
WHERE id = ? AND build_number = ? AND 
revision + (SELECT revision FROM {owners} o WHERE o.id = owner_id) + (SELECT revision FROM {templates} t WHERE t.id = template_id) = ?
