-- The SHA-256 of what was handed out with a job: who reports on it or ends it presents the secret. Empty: nothing was.
ALTER TABLE {jobs} ADD COLUMN secret BLOB NOT NULL DEFAULT x'';

INSERT INTO {migrations} (version, min_reader) VALUES (5, 1);
