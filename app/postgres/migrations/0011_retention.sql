-- Snapshots that somebody wants kept, and why. Written before the tag that keeps one is set, and until that is gone.
CREATE TABLE holds (
    hold_id        text        COLLATE "C" PRIMARY KEY,
    table_uuid     uuid        NOT NULL,
    namespace      text        NOT NULL,
    table_name     text        NOT NULL,
    snapshot_id    bigint      NOT NULL,
    tag            text        NOT NULL,
    state          text        NOT NULL DEFAULT 'WANTED' CHECK (state IN ('WANTED', 'LIVE', 'RELEASING', 'RELEASED')),
    placed_by      text        NOT NULL,
    reason         text        NOT NULL,
    placed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_by    text,
    release_reason text,
    released_at    timestamptz,
    CHECK ((state IN ('RELEASING', 'RELEASED')) = (released_at IS NOT NULL))
);
CREATE INDEX holds_of_table ON holds (table_uuid) WHERE state <> 'RELEASED';
CREATE INDEX holds_listed ON holds (placed_at DESC, hold_id DESC);

-- Expiries: what was planned, why, and how far it has come. COMMITTED: the table has the snapshots no more, and files
-- may be left to delete. ABANDONED: nothing was committed.
CREATE TABLE retention_runs (
    run_id        uuid        PRIMARY KEY,
    operation_id  uuid,
    table_uuid    uuid        NOT NULL,
    namespace     text        NOT NULL,
    table_name    text        NOT NULL,
    requested_by  text        NOT NULL,
    reason        text,
    state         text        NOT NULL DEFAULT 'PLANNED' CHECK (state IN ('PLANNED', 'COMMITTED', 'DONE', 'ABANDONED')),
    -- The policy, and each snapshot with what became of it and why: to be explained when the snapshots are long gone.
    document      json        NOT NULL,
    base_metadata text        NOT NULL,
    planned_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    committed_at  timestamptz,
    ended_at      timestamptz,
    bytes_total   bigint      NOT NULL,
    bytes_planned bigint      NOT NULL,
    files_planned bigint      NOT NULL,
    bytes_freed   bigint      NOT NULL DEFAULT 0,
    files_deleted bigint      NOT NULL DEFAULT 0,
    failure       text
);
CREATE INDEX retention_runs_of_table ON retention_runs (table_uuid, planned_at DESC);
CREATE INDEX retention_runs_open ON retention_runs (table_uuid) WHERE state IN ('PLANNED', 'COMMITTED');

-- Files that a run has still to delete; written before its commit, so that a crash after it forgets none.
CREATE TABLE retention_files (
    run_id     uuid   NOT NULL REFERENCES retention_runs ON DELETE CASCADE,
    path       text   NOT NULL,
    kind       text   NOT NULL,
    size_bytes bigint NOT NULL,
    failure    text,
    PRIMARY KEY (run_id, path)
);
