-- +goose Up

-- Each migration ends by recording its number here, and the lowest version of the library that still works on the tables
-- after it, whoever runs it. The store reads nothing else to know what it met.
CREATE TABLE dormouse.migrations (
    version    integer PRIMARY KEY,
    min_reader integer NOT NULL CHECK (min_reader BETWEEN 1 AND version)
);

CREATE TABLE dormouse.owners (
    id          uuid PRIMARY KEY,
    name        text NOT NULL,
    status      smallint NOT NULL CHECK (status BETWEEN 0 AND 2), -- active, dormant, suspended
    quiet_hours text NOT NULL,                                    -- a daily schedule, '' for none
    rules           bigint NOT NULL DEFAULT 0, -- counts the changes of quiet_hours
    autostart_after timestamptz
);

CREATE TABLE dormouse.templates (
    id                uuid PRIMARY KEY,
    organization_id   uuid NOT NULL,
    name              text NOT NULL,
    active_version_id uuid NOT NULL,
    revision          bigint NOT NULL DEFAULT 1 CHECK (revision > 0), -- writes of the template
    rules             bigint NOT NULL DEFAULT 0, -- counts the changes of policy
    policy            json NOT NULL, -- json, not jsonb: equal texts are parsed once
    state             json NOT NULL DEFAULT '{}' -- the hold, and the engine's own state
);

-- What concerns all workspaces: no row, or one.
CREATE TABLE dormouse.engine (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    state json NOT NULL
);

-- A template or owner whose change has not reached all of its workspaces yet. Whoever changes it works the mark off, and
-- whoever ticks does if that process is gone.
CREATE TABLE dormouse.marks (
    subject    uuid PRIMARY KEY,
    owner      boolean NOT NULL, -- of an owner, else of a template
    due_at     timestamptz NOT NULL,
    generation bigint NOT NULL DEFAULT 1,
    touched_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A workspace with its latest build. The build lives here until the next one replaces it, so that a snapshot is one row,
-- an activity write is one row, and a second active build of a workspace cannot exist. Ended builds that were replaced
-- are in dormouse.builds.
--
-- What few workspaces have is NULL in all others: it then takes no room, and rows stay short.
--
-- No index holds a column that activity writes (last_used_at, build_deadline, revision), and pages are left with room,
-- so that these frequent updates stay in place.
CREATE TABLE dormouse.workspaces (
    id                uuid PRIMARY KEY,
    organization_id   uuid NOT NULL,
    owner_id          uuid NOT NULL REFERENCES dormouse.owners,
    template_id       uuid NOT NULL REFERENCES dormouse.templates,
    name              text NOT NULL,
    created_at        timestamptz,
    revision          bigint NOT NULL DEFAULT 1 CHECK (revision > 0),
    wake_at           timestamptz, -- when a tick must look again, NULL for never
    autostart         text NOT NULL, -- a weekly schedule, '' for none
    autostart_after   timestamptz,
    autostop          text,     -- a weekly schedule
    ttl_ns            bigint NOT NULL CHECK (ttl_ns >= 0),
    last_used_at      timestamptz,
    dormant_at        timestamptz,
    deleting_at       timestamptz,
    hold_until        timestamptz,
    hold_rules        smallint, -- a set of starts (1), stops (2), dormancy (4), deletion (8), NULL for all
    hold_note         text,
    hold_by           text,
    stop_floor        timestamptz,
    dormancy_floor    timestamptz,
    delete_floor      timestamptz,
    template_seen     bigint,   -- the rules of template and owner that the instants follow, NULL for 0
    owner_seen        bigint,
    reminded_for      timestamptz,
    automatic_updates boolean NOT NULL,
    managed           boolean NOT NULL,
    deleted           boolean NOT NULL,
    failures          integer NOT NULL CHECK (failures >= 0),
    start_failures    integer CHECK (start_failures > 0),
    attention_at      timestamptz,
    backoff_until     timestamptz,
    backoff_attempts  integer NOT NULL CHECK (backoff_attempts >= 0),
    backoff_cause     text NOT NULL,
    backoff_message   text NOT NULL,

    build_id           uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    build_number       bigint NOT NULL DEFAULT 0 CHECK (build_number >= 0), -- 0: never built
    build_version_id   uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    build_transition   smallint NOT NULL DEFAULT 0 CHECK (build_transition BETWEEN 0 AND 3), -- none, start, stop, delete
    build_reason       text NOT NULL DEFAULT '',
    build_status       smallint NOT NULL DEFAULT 0 CHECK (build_status BETWEEN 0 AND 6), -- none, pending, running, canceling, succeeded, failed, canceled
    build_created_at   timestamptz,
    build_completed_at timestamptz,
    build_due_at       timestamptz,
    build_ttl_ns       bigint CHECK (build_ttl_ns > 0),
    build_run_since    timestamptz,
    build_deadline     timestamptz,
    build_max_deadline timestamptz,

    CONSTRAINT workspaces_build_exists CHECK ((build_number = 0) = (build_status = 0)),
    CONSTRAINT workspaces_build_deadlines CHECK (
        build_max_deadline IS NULL OR (build_deadline IS NOT NULL AND build_deadline <= build_max_deadline))
) WITH (fillfactor = 80);

-- What is due is read from here, and costs what is due, not what exists.
CREATE INDEX workspaces_due ON dormouse.workspaces (wake_at, id) WHERE wake_at IS NOT NULL;
CREATE INDEX workspaces_template ON dormouse.workspaces (template_id, id);
CREATE INDEX workspaces_owner ON dormouse.workspaces (owner_id, id);
CREATE INDEX workspaces_deleted ON dormouse.workspaces (build_completed_at) WHERE deleted;

-- Builds that were replaced by a later one. Rows are never updated.
CREATE TABLE dormouse.builds (
    workspace_id uuid NOT NULL REFERENCES dormouse.workspaces ON DELETE CASCADE,
    number       bigint NOT NULL CHECK (number > 0),
    id           uuid NOT NULL,
    version_id   uuid NOT NULL,
    transition   smallint NOT NULL CHECK (transition BETWEEN 0 AND 3),
    reason       text NOT NULL,
    status       smallint NOT NULL CHECK (status BETWEEN 4 AND 6), -- only what has ended can be replaced
    created_at   timestamptz,
    completed_at timestamptz,
    due_at       timestamptz,
    ttl_ns       bigint,
    run_since    timestamptz,
    deadline     timestamptz,
    max_deadline timestamptz,
    PRIMARY KEY (workspace_id, number)
);
CREATE INDEX builds_completed ON dormouse.builds (completed_at);

-- What has been committed and not yet delivered. A delivered event is gone.
CREATE TABLE dormouse.events (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id uuid NOT NULL,
    topic        smallint NOT NULL CHECK (topic BETWEEN 0 AND 2), -- audit, notice, post
    free_at      timestamptz, -- leased, or waiting for its retry, until then
    attempt      integer NOT NULL DEFAULT 0,
    body         json NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
CREATE INDEX events_order ON dormouse.events (workspace_id, topic, seq);

-- Who ticks. Losing it in a crash costs overlapping shares for one interval, so it need not be logged.
CREATE UNLOGGED TABLE dormouse.replicas (
    id      uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Distinct tag sets of jobs; a job carries the number of its set.
CREATE TABLE dormouse.tag_sets (
    id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    canon text NOT NULL UNIQUE
);

CREATE TABLE dormouse.jobs (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    tenant_id       uuid NOT NULL,
    type            text NOT NULL,
    tag_set         integer NOT NULL, -- no foreign key: its check would lock one row for all jobs
    priority        smallint NOT NULL,
    weight          integer NOT NULL CHECK (weight > 0),
    payload         bytea,
    trace           text NOT NULL,
    created_at      timestamptz,

    state      smallint NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 4), -- pending, running, succeeded, failed, canceled
    place      bigint NOT NULL, -- the number in line at its priority in its organization
    ready_at   timestamptz NOT NULL,
    ready      boolean NOT NULL, -- stands in the ready index; set when ready_at has come
    attempt    integer NOT NULL DEFAULT 0,
    fence      bigint NOT NULL DEFAULT 0,
    process_id uuid,
    worker_id  uuid,
    token      uuid,
    started_at timestamptz,
    ended_at   timestamptz,
    cancel_at  timestamptz,
    error      text NOT NULL DEFAULT '',
    result     bytea,
    percent    integer NOT NULL DEFAULT 0,
    message    text NOT NULL DEFAULT '',
    lines      bigint NOT NULL DEFAULT 0, -- the number of the last line of its log

    CONSTRAINT jobs_ready_pending CHECK (NOT ready OR state = 0),
    CONSTRAINT jobs_running_held CHECK (state <> 1 OR process_id IS NOT NULL),
    CONSTRAINT jobs_ended CHECK ((state >= 2) = (ended_at IS NOT NULL))
) WITH (fillfactor = 80);

-- A lane is a prefix of this index; a claim is one probe of it for each lane.
CREATE INDEX jobs_ready ON dormouse.jobs (organization_id, type, tag_set, priority, place, id) WHERE ready;
CREATE INDEX jobs_delayed ON dormouse.jobs (ready_at) WHERE state = 0 AND NOT ready;
CREATE INDEX jobs_held ON dormouse.jobs (process_id, token) WHERE state = 1;
CREATE INDEX jobs_running ON dormouse.jobs (organization_id, type, priority, tenant_id) WHERE state = 1;
CREATE INDEX jobs_canceling ON dormouse.jobs (process_id) WHERE state = 1 AND cancel_at IS NOT NULL;
CREATE INDEX jobs_over ON dormouse.jobs (ended_at) WHERE state >= 2;

CREATE TABLE dormouse.job_lines (
    job_id uuid NOT NULL REFERENCES dormouse.jobs ON DELETE CASCADE,
    seq    bigint NOT NULL,
    at     timestamptz,
    text   text NOT NULL,
    PRIMARY KEY (job_id, seq)
);

-- The last number in line that each tenant got.
CREATE TABLE dormouse.turns (
    organization_id uuid NOT NULL,
    priority        smallint NOT NULL,
    tenant_id       uuid NOT NULL,
    place           bigint NOT NULL,
    step            bigint NOT NULL,
    PRIMARY KEY (organization_id, priority, tenant_id)
) WITH (fillfactor = 50);

-- The number claimed last at a priority: the highest row. A claim adds a row and deletes the one before, instead of
-- updating it, so that claims wait for nobody, and finding it stays one step while dead rows cannot be cleaned up.
CREATE TABLE dormouse.claimed (
    organization_id uuid NOT NULL,
    priority        smallint NOT NULL,
    place           bigint NOT NULL,
    PRIMARY KEY (organization_id, priority, place)
);

CREATE TABLE dormouse.processes (
    id      uuid PRIMARY KEY,
    name    text NOT NULL,
    heartbeats   bigint NOT NULL,
    heartbeat_at timestamptz,
    lost_at timestamptz,
    workers   json NOT NULL
) WITH (fillfactor = 50);

INSERT INTO dormouse.migrations (version, min_reader) VALUES (1, 1);
