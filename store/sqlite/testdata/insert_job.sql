INSERT INTO {jobs} (
		id, state, organization_id, lane, line, tenant_id, weight, payload, trace, created_at, ready_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING
