-- Who asked for a build, why it failed, and what it made; NULL for nobody and nothing.
ALTER TABLE dormouse.workspaces
    ADD COLUMN build_initiator text,
    ADD COLUMN build_error     text,
    ADD COLUMN build_result    text;
ALTER TABLE dormouse.builds
    ADD COLUMN initiator text,
    ADD COLUMN error     text,
    ADD COLUMN result    text;

INSERT INTO dormouse.migrations (version, min_reader) VALUES (9, 1);
