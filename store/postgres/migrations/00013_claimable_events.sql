-- +goose Up

-- What can be claimed of a topic, without reading what waits in the others: events never tried, and those tried before.
CREATE INDEX events_fresh ON dormouse.events (topic, seq) WHERE free_at IS NULL;
CREATE INDEX events_tried ON dormouse.events (topic, free_at, seq) WHERE free_at IS NOT NULL;

INSERT INTO dormouse.migrations (version, min_reader) VALUES (13, 1);
