-- What operators of the job queue do: lists, retries, pauses, unique keys, histories, and bounds of runs and logs.
ALTER TABLE {jobs} ADD COLUMN unique_key TEXT;                     -- with the type in front; NULL: none
ALTER TABLE {jobs} ADD COLUMN run_limit INTEGER NOT NULL DEFAULT 0; -- nanoseconds; 0: none of its own
ALTER TABLE {jobs} ADD COLUMN round INTEGER NOT NULL DEFAULT 0;
ALTER TABLE {jobs} ADD COLUMN logged INTEGER NOT NULL DEFAULT 0;    -- the size of the log
ALTER TABLE {jobs} ADD COLUMN history BLOB;                        -- JSON, NULL: none

CREATE UNIQUE INDEX {jobs_unique} ON {jobs} (organization_id, unique_key) WHERE unique_key IS NOT NULL AND state < 3;
-- What is ready, tenant by tenant: a claim passes over those at their limits in one step each.
CREATE INDEX {jobs_tenants} ON {jobs} (organization_id, lane, tenant_id, line, id) WHERE state = 0;
CREATE INDEX {jobs_delayed_of} ON {jobs} (organization_id, ready_at) WHERE state = 1;
CREATE INDEX {jobs_listed} ON {jobs} (organization_id, state, created_at, id);

-- Pauses of an organization (type ''), of a type (organization zero) or of both.
CREATE TABLE {pauses} (
	organization_id BLOB NOT NULL,
	type            TEXT NOT NULL,
	paused_at       INTEGER,
	paused_by       TEXT NOT NULL,
	note            TEXT NOT NULL,
	ends_at         INTEGER,
	PRIMARY KEY (organization_id, type)
) STRICT, WITHOUT ROWID;

INSERT INTO {migrations} (version, min_reader) VALUES (8, 1);
