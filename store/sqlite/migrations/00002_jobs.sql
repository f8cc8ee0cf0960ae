-- +goose Up
-- The job queue.
--
-- A lane is what jobs have in common that decides who may run them. The text of its tags is kept once.
CREATE TABLE {lanes} (
	id              INTEGER PRIMARY KEY,
	organization_id BLOB NOT NULL,
	type            TEXT NOT NULL,
	tags            TEXT NOT NULL,
	priority        INTEGER NOT NULL,
	UNIQUE (organization_id, type, tags, priority)
) STRICT;

-- States: 0 pending and ready, 1 pending with a time to wait for, 2 running, 3 succeeded, 4 failed, 5 canceled.
CREATE TABLE {jobs} (
	id               BLOB PRIMARY KEY CHECK (length(id) = 16),
	state            INTEGER NOT NULL CHECK (state BETWEEN 0 AND 5),
	organization_id  BLOB NOT NULL,
	lane             INTEGER NOT NULL REFERENCES {lanes} (id),
	line             INTEGER NOT NULL,
	tenant_id        BLOB NOT NULL,
	weight           INTEGER NOT NULL,
	payload          BLOB,
	trace            TEXT NOT NULL,
	created_at       INTEGER,
	ready_at         INTEGER,
	attempt          INTEGER NOT NULL DEFAULT 0,
	fence            INTEGER NOT NULL DEFAULT 0,
	process_id       BLOB NOT NULL DEFAULT x'00000000000000000000000000000000',
	worker_id        BLOB NOT NULL DEFAULT x'00000000000000000000000000000000',
	token            BLOB NOT NULL DEFAULT x'00000000000000000000000000000000',
	started_at       INTEGER,
	ended_at         INTEGER,
	cancel_at        INTEGER,
	error            TEXT NOT NULL DEFAULT '',
	result           BLOB,
	percent          INTEGER NOT NULL DEFAULT 0,
	message          TEXT NOT NULL DEFAULT '',
	CONSTRAINT a_running_job_has_a_process CHECK (state <> 2 OR process_id <> x'00000000000000000000000000000000')
) STRICT;

-- What is ready, lane by lane, in line. Going from lane to lane is a skip through this index.
CREATE INDEX {jobs_ready} ON {jobs} (organization_id, lane, line, id) WHERE state = 0;
CREATE INDEX {jobs_delayed} ON {jobs} (ready_at) WHERE state = 1;
CREATE INDEX {jobs_held} ON {jobs} (process_id) WHERE state = 2;
CREATE INDEX {jobs_running} ON {jobs} (organization_id, lane, tenant_id) WHERE state = 2;
CREATE INDEX {jobs_ended} ON {jobs} (ended_at) WHERE state >= 3;

-- The state of fair ordering, of an organization and priority: the number claimed last, and the last of each tenant.
CREATE TABLE {floors} (
	organization_id BLOB NOT NULL,
	priority        INTEGER NOT NULL,
	claimed         INTEGER NOT NULL,
	PRIMARY KEY (organization_id, priority)
) STRICT, WITHOUT ROWID;

CREATE TABLE {turns} (
	organization_id BLOB NOT NULL,
	priority        INTEGER NOT NULL,
	tenant_id       BLOB NOT NULL,
	last            INTEGER NOT NULL,
	PRIMARY KEY (organization_id, priority, tenant_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE {lines} (
	job_id BLOB NOT NULL REFERENCES {jobs} (id),
	seq    INTEGER NOT NULL,
	at     INTEGER,
	text   TEXT NOT NULL,
	PRIMARY KEY (job_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE {processes} (
	id      BLOB PRIMARY KEY CHECK (length(id) = 16),
	name    TEXT NOT NULL,
	heartbeats   INTEGER NOT NULL,
	heartbeat_at INTEGER,
	lost_at INTEGER,
	workers   BLOB NOT NULL
) STRICT;

INSERT INTO {migrations} (version, min_reader) VALUES (2, 1);
