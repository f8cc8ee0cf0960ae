-- Since when no job uses a tag set, NULL for one in use. It is deleted a day later: until then whoever knows its number may use it.
ALTER TABLE dormouse.tag_sets ADD COLUMN retired_at timestamptz;

INSERT INTO dormouse.migrations (version, min_reader) VALUES (10, 1);
