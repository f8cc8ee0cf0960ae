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
FROM {workspaces} w 
CROSS JOIN {owners} o INDEXED BY sqlite_autoindex_{owners}_1 ON o.id = w.owner_id
CROSS JOIN {templates} t INDEXED BY sqlite_autoindex_{templates}_1 ON t.id = w.template_id 
WHERE w.id IN (
SELECT id FROM (
	SELECT w.id FROM {workspaces} w INDEXED BY {workspaces_status}
	WHERE (?4 >> 0 & 1) AND w.organization_id = ?12 AND w.status = 0 AND w.id > ?8 AND
(?1 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?1)))
AND (?2 IS NULL OR w.template_id = ?2) AND (?3 IS NULL OR w.owner_id = ?3)
AND (?4 >> w.status & 1) AND (NOT ?5 OR w.build_status BETWEEN 1 AND 3)
	ORDER BY w.id LIMIT ?11)
UNION ALL
SELECT id FROM (
	SELECT w.id FROM {workspaces} w INDEXED BY {workspaces_status}
	WHERE (?4 >> 1 & 1) AND w.organization_id = ?12 AND w.status = 1 AND w.id > ?8 AND
(?1 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?1)))
AND (?2 IS NULL OR w.template_id = ?2) AND (?3 IS NULL OR w.owner_id = ?3)
AND (?4 >> w.status & 1) AND (NOT ?5 OR w.build_status BETWEEN 1 AND 3)
	ORDER BY w.id LIMIT ?11)
UNION ALL
SELECT id FROM (
	SELECT w.id FROM {workspaces} w INDEXED BY {workspaces_status}
	WHERE (?4 >> 2 & 1) AND w.organization_id = ?12 AND w.status = 2 AND w.id > ?8 AND
(?1 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?1)))
AND (?2 IS NULL OR w.template_id = ?2) AND (?3 IS NULL OR w.owner_id = ?3)
AND (?4 >> w.status & 1) AND (NOT ?5 OR w.build_status BETWEEN 1 AND 3)
	ORDER BY w.id LIMIT ?11)
UNION ALL
SELECT id FROM (
	SELECT w.id FROM {workspaces} w INDEXED BY {workspaces_status}
	WHERE (?4 >> 3 & 1) AND w.organization_id = ?12 AND w.status = 3 AND w.id > ?8 AND
(?1 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?1)))
AND (?2 IS NULL OR w.template_id = ?2) AND (?3 IS NULL OR w.owner_id = ?3)
AND (?4 >> w.status & 1) AND (NOT ?5 OR w.build_status BETWEEN 1 AND 3)
	ORDER BY w.id LIMIT ?11)
UNION ALL
SELECT id FROM (
	SELECT w.id FROM {workspaces} w INDEXED BY {workspaces_status}
	WHERE (?4 >> 4 & 1) AND w.organization_id = ?12 AND w.status = 4 AND w.id > ?8 AND
(?1 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?1)))
AND (?2 IS NULL OR w.template_id = ?2) AND (?3 IS NULL OR w.owner_id = ?3)
AND (?4 >> w.status & 1) AND (NOT ?5 OR w.build_status BETWEEN 1 AND 3)
	ORDER BY w.id LIMIT ?11)
UNION ALL
SELECT id FROM (
	SELECT w.id FROM {workspaces} w INDEXED BY {workspaces_status}
	WHERE (?4 >> 5 & 1) AND w.organization_id = ?12 AND w.status = 5 AND w.id > ?8 AND
(?1 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?1)))
AND (?2 IS NULL OR w.template_id = ?2) AND (?3 IS NULL OR w.owner_id = ?3)
AND (?4 >> w.status & 1) AND (NOT ?5 OR w.build_status BETWEEN 1 AND 3)
	ORDER BY w.id LIMIT ?11)
UNION ALL
SELECT id FROM (
	SELECT w.id FROM {workspaces} w INDEXED BY {workspaces_status}
	WHERE (?4 >> 6 & 1) AND w.organization_id = ?12 AND w.status = 6 AND w.id > ?8 AND
(?1 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?1)))
AND (?2 IS NULL OR w.template_id = ?2) AND (?3 IS NULL OR w.owner_id = ?3)
AND (?4 >> w.status & 1) AND (NOT ?5 OR w.build_status BETWEEN 1 AND 3)
	ORDER BY w.id LIMIT ?11)
UNION ALL
SELECT id FROM (
	SELECT w.id FROM {workspaces} w INDEXED BY {workspaces_status}
	WHERE (?4 >> 7 & 1) AND w.organization_id = ?12 AND w.status = 7 AND w.id > ?8 AND
(?1 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?1)))
AND (?2 IS NULL OR w.template_id = ?2) AND (?3 IS NULL OR w.owner_id = ?3)
AND (?4 >> w.status & 1) AND (NOT ?5 OR w.build_status BETWEEN 1 AND 3)
	ORDER BY w.id LIMIT ?11)
UNION ALL
SELECT id FROM (
	SELECT w.id FROM {workspaces} w INDEXED BY {workspaces_status}
	WHERE (?4 >> 8 & 1) AND w.organization_id = ?12 AND w.status = 8 AND w.id > ?8 AND
(?1 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?1)))
AND (?2 IS NULL OR w.template_id = ?2) AND (?3 IS NULL OR w.owner_id = ?3)
AND (?4 >> w.status & 1) AND (NOT ?5 OR w.build_status BETWEEN 1 AND 3)
	ORDER BY w.id LIMIT ?11)
UNION ALL
SELECT id FROM (
	SELECT w.id FROM {workspaces} w INDEXED BY {workspaces_status}
	WHERE (?4 >> 9 & 1) AND w.organization_id = ?12 AND w.status = 9 AND w.id > ?8 AND
(?1 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?1)))
AND (?2 IS NULL OR w.template_id = ?2) AND (?3 IS NULL OR w.owner_id = ?3)
AND (?4 >> w.status & 1) AND (NOT ?5 OR w.build_status BETWEEN 1 AND 3)
	ORDER BY w.id LIMIT ?11)
UNION ALL
SELECT id FROM (
	SELECT w.id FROM {workspaces} w INDEXED BY {workspaces_status}
	WHERE (?4 >> 10 & 1) AND w.organization_id = ?12 AND w.status = 10 AND w.id > ?8 AND
(?1 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?1)))
AND (?2 IS NULL OR w.template_id = ?2) AND (?3 IS NULL OR w.owner_id = ?3)
AND (?4 >> w.status & 1) AND (NOT ?5 OR w.build_status BETWEEN 1 AND 3)
	ORDER BY w.id LIMIT ?11)
UNION ALL
SELECT id FROM (
	SELECT w.id FROM {workspaces} w INDEXED BY {workspaces_status}
	WHERE (?4 >> 11 & 1) AND w.organization_id = ?12 AND w.status = 11 AND w.id > ?8 AND
(?1 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?1)))
AND (?2 IS NULL OR w.template_id = ?2) AND (?3 IS NULL OR w.owner_id = ?3)
AND (?4 >> w.status & 1) AND (NOT ?5 OR w.build_status BETWEEN 1 AND 3)
	ORDER BY w.id LIMIT ?11)
UNION ALL
SELECT id FROM (
	SELECT w.id FROM {workspaces} w INDEXED BY {workspaces_status}
	WHERE (?4 >> 12 & 1) AND w.organization_id = ?12 AND w.status = 12 AND w.id > ?8 AND
(?1 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?1)))
AND (?2 IS NULL OR w.template_id = ?2) AND (?3 IS NULL OR w.owner_id = ?3)
AND (?4 >> w.status & 1) AND (NOT ?5 OR w.build_status BETWEEN 1 AND 3)
	ORDER BY w.id LIMIT ?11))
ORDER BY w.id LIMIT ?11
