-- +goose Up
-- What is known of all processes that tick: no row, or one.
CREATE TABLE {ticks} (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	at  INTEGER NOT NULL
) STRICT;

-- The deletions that were admitted within the last hour, of each workspace the latest.
CREATE TABLE {deletions} (
	workspace_id BLOB PRIMARY KEY CHECK (length(workspace_id) = 16),
	template_id  BLOB NOT NULL,
	at           INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX {deletions_at} ON {deletions} (at);
CREATE INDEX {deletions_template} ON {deletions} (template_id);

INSERT INTO {migrations} (version, min_reader) VALUES (6, 1);
