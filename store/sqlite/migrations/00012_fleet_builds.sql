-- +goose Up
-- The builds of all workspaces, in the order in which they were made.
CREATE INDEX {workspaces_built} ON {workspaces} (build_created_at, build_id) WHERE build_number > 0;
CREATE INDEX {builds_created} ON {builds} (created_at, id);

INSERT INTO {migrations} (version, min_reader) VALUES (12, 1);
