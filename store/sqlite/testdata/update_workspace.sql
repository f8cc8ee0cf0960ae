UPDATE {workspaces} SET revision = revision + 1, wake_at = ?,
		autostart = ?, autostart_after = ?, ttl = ?, last_used_at = ?, dormant_at = ?, deleting_at = ?,
		hold_until = ?, reminded_for = ?, automatic_updates = ?, managed = ?, deleted = ?, failures = ?,
		attention_at = ?, backoff_until = ?, backoff_attempts = ?, backoff_cause = ?, backoff_message = ?,
		build_id = ?, build_number = ?, build_version_id = ?, build_transition = ?, build_reason = ?,
		build_status = ?, build_created_at = ?, build_completed_at = ?, build_deadline = ?,
		build_max_deadline = ?
WHERE id = ? AND build_number = ? AND 
revision + (SELECT revision FROM {owners} o WHERE o.id = owner_id) + (SELECT revision FROM {templates} t WHERE t.id = template_id) = ?
