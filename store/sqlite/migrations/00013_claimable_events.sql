-- +goose Up
-- What can be claimed of a topic, without reading what waits in the others: events never tried, and those tried before.
CREATE INDEX {events_fresh} ON {events} (topic, seq) WHERE claimable_at IS NULL;
CREATE INDEX {events_tried} ON {events} (topic, claimable_at, seq) WHERE claimable_at IS NOT NULL;

INSERT INTO {migrations} (version, min_reader) VALUES (13, 1);
