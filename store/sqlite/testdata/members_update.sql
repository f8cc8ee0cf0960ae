UPDATE OR IGNORE {members} SET 
		id = ?, pool = ?, version = ?, revision = ?, state = ?, resource = ?, generation = ?, uses = ?,
		reserved_for = ?, created_at = ?, ready_at = ?, deadline = ?, attempts = ?, misses = ?, reason = ?,
		message = ?, claim_key = ?, owner = ?, tenant = ?, claim_details = ?, claimed_at = ?,
		idle_timeout = ?, ends_at = ? WHERE pool = ? AND id = ? AND revision = ?
