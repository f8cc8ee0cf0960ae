-- What operators of the job queue do: lists, retries, pauses, unique keys, histories, and bounds of runs and logs.
ALTER TABLE dormouse.jobs
    ADD COLUMN unique_key text,
    ADD COLUMN run_limit  bigint, -- nanoseconds, NULL: none of its own
    ADD COLUMN round      integer NOT NULL DEFAULT 0,
    ADD COLUMN log_size   bigint NOT NULL DEFAULT 0, -- of the log, in bytes as acquirer/queue.LogSize counts them
    ADD COLUMN history    jsonb; -- attempts that did not succeed, and retries, NULL for none

CREATE UNIQUE INDEX jobs_unique ON dormouse.jobs (organization_id, type, unique_key) WHERE unique_key IS NOT NULL AND state < 2;
-- What is ready, tenant by tenant: a claim passes over those at their limits in one step each.
CREATE INDEX jobs_tenants ON dormouse.jobs (organization_id, type, tag_set, priority, tenant_id, place, id) WHERE ready;
CREATE INDEX jobs_delayed_of ON dormouse.jobs (organization_id, ready_at) WHERE state = 0 AND NOT ready;
CREATE INDEX jobs_listed ON dormouse.jobs (organization_id, state, created_at, id);

-- Pauses of an organization (type ''), of a type (organization zero) or of both.
CREATE TABLE dormouse.pauses (
    organization_id uuid NOT NULL,
    type            text NOT NULL,
    paused_at       timestamptz,
    paused_by       text NOT NULL,
    note            text NOT NULL,
    ends_at         timestamptz,
    PRIMARY KEY (organization_id, type)
);

INSERT INTO dormouse.migrations (version, min_reader) VALUES (7, 1);
