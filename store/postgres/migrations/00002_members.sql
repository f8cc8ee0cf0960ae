-- Members of pre-warmed pools. A member has at most one claim in its life; its key is unique in its pool.
CREATE TABLE dormouse.members (
    id           uuid PRIMARY KEY,
    pool         text NOT NULL,
    version      text NOT NULL,
    revision     bigint NOT NULL,
    state        smallint NOT NULL,
    resource     uuid NOT NULL,
    generation   bigint NOT NULL,
    uses         integer NOT NULL,
    reserved_for text NOT NULL,
    created_at   timestamptz,
    ready_at     timestamptz,
    deadline     timestamptz,
    attempts     integer NOT NULL,
    misses       integer NOT NULL,
    reason       text NOT NULL,
    message      text NOT NULL,
    claim_key    text,
    owner        text NOT NULL,
    tenant       text NOT NULL,
    claimed_at   timestamptz,
    idle_timeout bigint NOT NULL, -- nanoseconds
    ends_at      timestamptz
) WITH (fillfactor = 70);

CREATE INDEX members_listed ON dormouse.members (pool, state, id);
CREATE INDEX members_resource ON dormouse.members (resource);
CREATE INDEX members_due ON dormouse.members (pool, deadline, id) WHERE deadline IS NOT NULL;
-- A claim is one probe of this index.
CREATE INDEX members_ready ON dormouse.members (pool, version, reserved_for, ready_at, id) WHERE state = 2;
CREATE UNIQUE INDEX members_key ON dormouse.members (pool, claim_key) WHERE claim_key IS NOT NULL;

CREATE TABLE dormouse.pools (
    name        text PRIMARY KEY,
    revision    bigint NOT NULL,
    paused      boolean NOT NULL,
    paused_by   text NOT NULL,
    failed      text NOT NULL, -- the version whose creation failed
    failures    integer NOT NULL,
    failed_at   timestamptz,
    failure     text NOT NULL,
    extra       integer NOT NULL,
    extra_until timestamptz
) WITH (fillfactor = 50);

INSERT INTO dormouse.migrations (version, min_reader) VALUES (2, 1);
