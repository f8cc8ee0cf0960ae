-- Members of pre-warmed pools. A member has at most one claim in its life; its key is unique in its pool.
CREATE TABLE {members} (
	id           BLOB PRIMARY KEY CHECK (length(id) = 16),
	pool         TEXT NOT NULL,
	version      TEXT NOT NULL,
	revision     INTEGER NOT NULL,
	state        INTEGER NOT NULL,
	resource     BLOB NOT NULL,
	generation   INTEGER NOT NULL,
	uses         INTEGER NOT NULL,
	reserved_for TEXT NOT NULL,
	created_at   INTEGER,
	ready_at     INTEGER,
	deadline     INTEGER,
	attempts     INTEGER NOT NULL,
	misses       INTEGER NOT NULL,
	reason       TEXT NOT NULL,
	message      TEXT NOT NULL,
	claim_key    TEXT,
	owner        TEXT NOT NULL,
	tenant       TEXT NOT NULL,
	claimed_at   INTEGER,
	idle_timeout INTEGER NOT NULL, -- nanoseconds
	ends_at      INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX {members_listed} ON {members} (pool, state, id);
CREATE INDEX {members_resource} ON {members} (resource);
CREATE INDEX {members_due} ON {members} (pool, deadline, id) WHERE deadline IS NOT NULL;
CREATE INDEX {members_ready} ON {members} (pool, version, reserved_for, ready_at, id) WHERE state = 2;
CREATE UNIQUE INDEX {members_key} ON {members} (pool, claim_key) WHERE claim_key IS NOT NULL;

CREATE TABLE {pools} (
	name          TEXT PRIMARY KEY,
	revision      INTEGER NOT NULL,
	paused        INTEGER NOT NULL,
	paused_by     TEXT NOT NULL,
	failed        TEXT NOT NULL, -- the version whose creation failed
	failures      INTEGER NOT NULL,
	failed_at     INTEGER,
	failure       TEXT NOT NULL,
	extra         INTEGER NOT NULL,
	extra_until   INTEGER
) STRICT, WITHOUT ROWID;

INSERT INTO {migrations} (version, min_reader) VALUES (3, 1);
