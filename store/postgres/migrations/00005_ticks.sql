-- What is known of all processes that tick: no row, or one. Logged, because a crash of the database is a gap in the ticks.
CREATE TABLE dormouse.ticks (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    at  timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The deletions that were admitted within the last hour, of each workspace the latest.
CREATE TABLE dormouse.deletions (
    workspace_id uuid PRIMARY KEY,
    template_id  uuid NOT NULL,
    at           timestamptz NOT NULL
);
CREATE INDEX deletions_at ON dormouse.deletions (at);
CREATE INDEX deletions_template ON dormouse.deletions (template_id);

INSERT INTO dormouse.migrations (version, min_reader) VALUES (5, 1);
