-- +goose Up
-- Who asked for a build, why it failed, and what it made.
ALTER TABLE {workspaces} ADD COLUMN build_initiator TEXT NOT NULL DEFAULT '';
ALTER TABLE {workspaces} ADD COLUMN build_error TEXT NOT NULL DEFAULT '';
ALTER TABLE {workspaces} ADD COLUMN build_result TEXT NOT NULL DEFAULT '';
ALTER TABLE {builds} ADD COLUMN initiator TEXT NOT NULL DEFAULT '';
ALTER TABLE {builds} ADD COLUMN error TEXT NOT NULL DEFAULT '';
ALTER TABLE {builds} ADD COLUMN result TEXT NOT NULL DEFAULT '';

INSERT INTO {migrations} (version, min_reader) VALUES (10, 1);
