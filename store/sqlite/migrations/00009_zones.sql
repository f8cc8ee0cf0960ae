-- +goose Up
-- What the processes know of the time zones that schedules name: see schedule.Cron.ZoneFingerprint.
CREATE TABLE {zones} (
	name        TEXT PRIMARY KEY,
	fingerprint INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO {migrations} (version, min_reader) VALUES (9, 1);
