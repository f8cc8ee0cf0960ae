-- +goose Up
-- Workspaces, their builds, owners, templates and the outbox.
--
-- Every instant is a whole number of microseconds since 1970 in UTC, NULL for none. Every duration is in nanoseconds, as
-- Go counts them. Every id is the 16 bytes of a UUID. Enumerations are the numbers of their Go constants.

-- Each migration ends by recording its number here, and the lowest version of the library that still works on the tables
-- after it.
CREATE TABLE {migrations} (
	version    INTEGER PRIMARY KEY,
	min_reader INTEGER NOT NULL CHECK (min_reader BETWEEN 1 AND version)
) STRICT;

-- A workspace's revision, as the engine sees it, is the sum of the revisions of its row, its owner and its template. So a
-- new policy or a suspension outdates every decision in one write, however many workspaces it concerns; their wakes are
-- pulled to sweep_at afterwards, in batches, those up to sweep_after being done.
CREATE TABLE {templates} (
	id                BLOB PRIMARY KEY CHECK (length(id) = 16),
	revision          INTEGER NOT NULL,
	sweep_at          INTEGER,
	sweep_after       BLOB NOT NULL DEFAULT x'',
	organization_id   BLOB NOT NULL,
	name              TEXT NOT NULL,
	active_version_id BLOB NOT NULL,
	edition           INTEGER NOT NULL, -- the revision that hosts see: writes of the template alone
	rules             INTEGER NOT NULL, -- counts the changes of policy
	policy            TEXT NOT NULL CHECK (json_valid(policy)), -- as lifecycle.Policy writes itself
	state             TEXT NOT NULL CHECK (json_valid(state))   -- the hold, and the engine's own state
) STRICT;

-- What concerns all workspaces: no row, or one. Writing it raises the revision of every template.
CREATE TABLE {engine} (
	one   INTEGER PRIMARY KEY CHECK (one = 1),
	state TEXT NOT NULL CHECK (json_valid(state))
) STRICT;

CREATE INDEX {templates_sweep} ON {templates} (sweep_at) WHERE sweep_at IS NOT NULL;

CREATE TABLE {owners} (
	id          BLOB PRIMARY KEY CHECK (length(id) = 16),
	revision    INTEGER NOT NULL,
	sweep_at    INTEGER,
	sweep_after BLOB NOT NULL DEFAULT x'',
	name        TEXT NOT NULL,
	status      INTEGER NOT NULL,
	quiet_hours TEXT NOT NULL,
	rules       INTEGER NOT NULL, -- counts the changes of quiet_hours
	autostart_after INTEGER
) STRICT;

CREATE INDEX {owners_sweep} ON {owners} (sweep_at) WHERE sweep_at IS NOT NULL;

-- The latest build is part of its workspace's row: a workspace cannot have two active ones, reading what is due needs no
-- join, and a build's progress writes one row. A build that another one follows moves to {builds}.
CREATE TABLE {workspaces} (
	id                 BLOB PRIMARY KEY CHECK (length(id) = 16),
	share              INTEGER NOT NULL,
	revision           INTEGER NOT NULL,
	organization_id    BLOB NOT NULL,
	owner_id           BLOB NOT NULL REFERENCES {owners} (id),
	template_id        BLOB NOT NULL REFERENCES {templates} (id),
	name               TEXT NOT NULL,
	created_at         INTEGER,
	wake_at            INTEGER,
	autostart          TEXT NOT NULL,
	autostart_after    INTEGER,
	autostop           TEXT NOT NULL,
	ttl                INTEGER NOT NULL,
	last_used_at       INTEGER,
	dormant_at         INTEGER,
	deleting_at        INTEGER,
	hold_until         INTEGER,
	hold_rules         INTEGER NOT NULL,
	hold_note          TEXT NOT NULL,
	hold_by            TEXT NOT NULL,
	stop_floor         INTEGER,
	dormancy_floor     INTEGER,
	delete_floor       INTEGER,
	template_seen      INTEGER NOT NULL, -- the rules of template and owner that the instants follow
	owner_seen         INTEGER NOT NULL,
	reminded_for       INTEGER,
	automatic_updates  INTEGER NOT NULL CHECK (automatic_updates IN (0, 1)),
	managed            INTEGER NOT NULL CHECK (managed IN (0, 1)),
	deleted            INTEGER NOT NULL CHECK (deleted IN (0, 1)),
	failures           INTEGER NOT NULL,
	start_failures     INTEGER NOT NULL,
	attention_at       INTEGER,
	backoff_until      INTEGER,
	backoff_attempts   INTEGER NOT NULL,
	backoff_cause      TEXT NOT NULL,
	backoff_message    TEXT NOT NULL,
	build_id           BLOB NOT NULL DEFAULT x'00000000000000000000000000000000',
	build_number       INTEGER NOT NULL DEFAULT 0 CHECK (build_number >= 0),
	build_version_id   BLOB NOT NULL DEFAULT x'00000000000000000000000000000000',
	build_transition   INTEGER NOT NULL DEFAULT 0 CHECK (build_transition BETWEEN 0 AND 3),
	build_reason       TEXT NOT NULL DEFAULT '',
	build_status       INTEGER NOT NULL DEFAULT 0 CHECK (build_status BETWEEN 0 AND 6),
	build_created_at   INTEGER,
	build_completed_at INTEGER,
	build_due_at       INTEGER,
	build_ttl          INTEGER NOT NULL DEFAULT 0,
	build_run_since    INTEGER,
	build_deadline     INTEGER,
	build_max_deadline INTEGER,
	CONSTRAINT deadline_within_maximum
		CHECK (build_max_deadline IS NULL OR (build_deadline IS NOT NULL AND build_deadline <= build_max_deadline))
) STRICT;

-- The due index. The share stands in it so that a replica passes over the rows of others without reading them.
CREATE INDEX {workspaces_due} ON {workspaces} (wake_at, id, share) WHERE wake_at IS NOT NULL;
-- Not only of the rows that are not deleted: a condition on a column that every change writes would have SQLite take each
-- entry out and put it in again.
CREATE INDEX {workspaces_template} ON {workspaces} (template_id, id);
CREATE INDEX {workspaces_owner} ON {workspaces} (owner_id, id);
CREATE INDEX {workspaces_deleted} ON {workspaces} (build_completed_at) WHERE deleted = 1;

CREATE TABLE {builds} (
	workspace_id BLOB NOT NULL REFERENCES {workspaces} (id),
	number       INTEGER NOT NULL CHECK (number > 0),
	id           BLOB NOT NULL,
	version_id   BLOB NOT NULL,
	transition   INTEGER NOT NULL,
	reason       TEXT NOT NULL,
	status       INTEGER NOT NULL CONSTRAINT only_the_latest_build_is_active CHECK (status NOT BETWEEN 1 AND 3),
	created_at   INTEGER,
	completed_at INTEGER,
	due_at       INTEGER,
	ttl          INTEGER NOT NULL DEFAULT 0,
	run_since    INTEGER,
	deadline     INTEGER,
	max_deadline INTEGER,
	PRIMARY KEY (workspace_id, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX {builds_completed} ON {builds} (completed_at) WHERE completed_at IS NOT NULL;

-- AUTOINCREMENT, because the number of an event that was delivered and deleted must not be given again.
CREATE TABLE {events} (
	seq          INTEGER PRIMARY KEY AUTOINCREMENT,
	topic        INTEGER NOT NULL,
	workspace_id BLOB NOT NULL,
	attempt      INTEGER NOT NULL DEFAULT 0,
	claimable_at INTEGER,
	body         BLOB NOT NULL
) STRICT;

CREATE INDEX {events_line} ON {events} (workspace_id, topic, seq);

INSERT INTO {migrations} (version, min_reader) VALUES (1, 1);
