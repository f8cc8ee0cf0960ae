-- The SHA-256 of what was handed out with a job: who reports on it or ends it presents the secret. Empty: nothing was.
ALTER TABLE dormouse.jobs ADD COLUMN secret bytea NOT NULL DEFAULT '';

INSERT INTO dormouse.migrations (version, min_reader) VALUES (4, 1);
