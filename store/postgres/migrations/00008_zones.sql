-- What the processes know of the time zones that schedules name: see schedule.Cron.ZoneFingerprint.
CREATE TABLE dormouse.zones (
    name        text PRIMARY KEY,
    fingerprint bigint NOT NULL
);

INSERT INTO dormouse.migrations (version, min_reader) VALUES (8, 1);
