-- +goose Up
-- Finds the lanes that no job stands in any more, which are deleted.
CREATE INDEX {jobs_lane} ON {jobs} (lane);

INSERT INTO {migrations} (version, min_reader) VALUES (11, 1);
