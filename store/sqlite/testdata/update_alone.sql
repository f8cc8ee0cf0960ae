UPDATE {workspaces} SET revision = revision + 1, wake_at = ?,
		autostart = ?, autostart_after = ?, ttl = ?, last_used_at = ?, dormant_at = ?, deleting_at = ?,
		hold_until = ?, reminded_for = ?, automatic_updates = ?, managed = ?, deleted = ?, failures = ?,
		attention_at = ?, backoff_until = ?, backoff_attempts = ?, backoff_cause = ?, backoff_message = ?
WHERE id = ? AND 
revision + (SELECT revision FROM {owners} o WHERE o.id = owner_id) + (SELECT revision FROM {templates} t WHERE t.id = template_id) = ?
