INSERT INTO {workspaces} (revision, owner_id, template_id, wake_at,
		id, share, organization_id, name, created_at, autostart, autostart_after, ttl, last_used_at,
		dormant_at, deleting_at, hold_until, reminded_for, automatic_updates, managed, deleted, failures,
		attention_at, backoff_until, backoff_attempts, backoff_cause, backoff_message)
SELECT 1 - o.revision - t.revision, o.id, t.id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
FROM {owners} o, {templates} t WHERE o.id = ? AND t.id = ?
