-- What was reported about runs, jobs and datasets, as it came: the lineage graph can always be built from it again.
-- run_key is run:<uuid>, job:<namespace>|<name> or dataset:<namespace>|<name>; a body that is sent again changes nothing.
CREATE TABLE lineage_events (
    event_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_key     text        COLLATE "C" NOT NULL,
    event_time  timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    body_hash   bytea       NOT NULL,
    body        bytea       NOT NULL,
    warnings    jsonb       NOT NULL DEFAULT '[]',
    UNIQUE (run_key, body_hash)
);
CREATE INDEX lineage_events_of_run ON lineage_events (run_key, event_id);

-- A generation never comes back: one that began at 1 again, after its row was deleted, could be taken for an older one.
CREATE SEQUENCE lineage_generations;

-- Runs with events that the graph does not know yet. Written in the transaction of the events; `since` is the instant of
-- the first of them, and stays until the run is projected.
CREATE TABLE lineage_pending (
    run_key     text        COLLATE "C" PRIMARY KEY,
    generation  bigint      NOT NULL DEFAULT nextval('lineage_generations'),
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz,
    attempts    integer     NOT NULL DEFAULT 0,
    failure     text
);
CREATE INDEX lineage_pending_since ON lineage_pending (since);
