-- The tables of the host as they were before the lifecycle engine came, and below the line what it brought.
CREATE TABLE people (
	id       TEXT PRIMARY KEY,
	handle   TEXT NOT NULL,
	standing INTEGER NOT NULL,
	nights   TEXT NOT NULL, -- quiet hours, empty for none
	-------------------------------------------------
	nights_no  INTEGER NOT NULL,
	back_since INTEGER
);

CREATE TABLE blueprints (
	id       TEXT PRIMARY KEY,
	company  TEXT NOT NULL,
	title    TEXT NOT NULL,
	revision TEXT NOT NULL, -- the active version
	-------------------------------------------------
	rules    TEXT NOT NULL,    -- the policy, as JSON
	edition  INTEGER NOT NULL, -- counts the writes
	rules_no INTEGER NOT NULL,
	state    TEXT NOT NULL     -- a hold, and what the engine keeps, as JSON
);

CREATE TABLE desks (
	id        TEXT PRIMARY KEY,
	company   TEXT NOT NULL,
	person    TEXT NOT NULL REFERENCES people,
	blueprint TEXT NOT NULL REFERENCES blueprints,
	label     TEXT NOT NULL,
	made      INTEGER NOT NULL,
	-------------------------------------------------
	edition       INTEGER NOT NULL, -- counts the changes of the row
	look_at       INTEGER,          -- when the scheduler has to look at it
	shard         INTEGER NOT NULL, -- the last four bytes of the id, to divide the desks among replicas
	mornings      TEXT NOT NULL,    -- the autostart schedule as it was entered
	mornings_from INTEGER,          -- instants are microseconds since 1970, NULL for none
	evenings      TEXT NOT NULL,    -- the autostop schedule
	life          INTEGER NOT NULL, -- the time to live, in nanoseconds
	seen          INTEGER,
	asleep        INTEGER,
	gone_after    INTEGER,
	held_until    INTEGER,
	held          INTEGER NOT NULL, -- which rules
	held_why      TEXT NOT NULL,
	held_by       TEXT NOT NULL,
	stop_floor    INTEGER,
	sleep_floor   INTEGER,
	delete_floor  INTEGER,
	rules_seen    INTEGER NOT NULL,
	nights_seen   INTEGER NOT NULL,
	warned_for    INTEGER,
	follows       INTEGER NOT NULL, -- automatic updates
	pooled        INTEGER NOT NULL, -- looked after by something else
	gone          INTEGER NOT NULL,
	failures      INTEGER NOT NULL,
	false_starts  INTEGER NOT NULL,
	helpless_at   INTEGER,
	again_at      INTEGER,
	again_tries   INTEGER NOT NULL,
	again_cause   TEXT NOT NULL,
	again_words   TEXT NOT NULL,
	run           TEXT NOT NULL,    -- the latest build
	run_no        INTEGER NOT NULL,
	run_version   TEXT NOT NULL,
	run_kind      INTEGER NOT NULL,
	run_why       TEXT NOT NULL,
	run_state     INTEGER NOT NULL,
	run_asked     INTEGER,
	run_over      INTEGER,
	run_due       INTEGER,
	run_life      INTEGER NOT NULL,
	up_since      INTEGER,
	stop_by       INTEGER,
	stop_latest   INTEGER,
	run_by        TEXT NOT NULL,    -- who asked for it, why it failed, what it made
	run_fault     TEXT NOT NULL,
	run_made      TEXT NOT NULL,
	CHECK (stop_latest IS NULL OR stop_by IS NOT NULL AND stop_by <= stop_latest)
);

-- The one index that a tick reads.
CREATE INDEX desks_look_at ON desks (look_at, id) WHERE look_at IS NOT NULL;

-- The host's own queue. A row is written in the transaction that makes the build.
CREATE TABLE tasks (
	run    TEXT PRIMARY KEY,
	desk   TEXT NOT NULL,
	run_no INTEGER NOT NULL,
	what   TEXT NOT NULL,
	why    TEXT NOT NULL,
	ready  INTEGER NOT NULL -- when the worker of this example is done with it
);
