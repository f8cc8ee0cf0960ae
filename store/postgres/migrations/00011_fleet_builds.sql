-- The builds of all workspaces, in the order in which they were made.
CREATE INDEX workspaces_built ON dormouse.workspaces (build_created_at, build_id) WHERE build_number > 0;
CREATE INDEX builds_created ON dormouse.builds (created_at, id);

INSERT INTO dormouse.migrations (version, min_reader) VALUES (11, 1);
