INSERT INTO {workspaces} (revision, owner_id, template_id, template_seen, owner_seen, wake_at,
		id, share, organization_id, name, created_at, autostart, autostart_after, autostop, ttl,
		last_used_at, dormant_at, deleting_at, hold_until, hold_rules, hold_note, hold_by, stop_floor,
		dormancy_floor, delete_floor, reminded_for, automatic_updates, managed, deleted, failures,
		start_failures, attention_at, backoff_until, backoff_attempts, backoff_cause, backoff_message)
SELECT 1 - o.revision - t.revision, o.id, t.id, t.rules, o.rules, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
FROM {owners} o, {templates} t WHERE o.id = ? AND t.id = ?
