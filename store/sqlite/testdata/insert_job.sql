INSERT INTO {jobs} (
		id, state, organization_id, lane, line, tenant_id, weight, payload, trace, unique_key, run_limit,
		created_at, ready_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
