-- Models, pipelines and their versions, runs, tags on versions, and the pins that keep what models were trained on.

-- A change is of a dataset, or of a model or pipeline, about which there is nothing to commit to a catalog.
ALTER TABLE changes
    ALTER COLUMN table_uuid DROP NOT NULL,
    ALTER COLUMN namespace DROP NOT NULL,
    ALTER COLUMN table_name DROP NOT NULL,
    ALTER COLUMN plan DROP NOT NULL,
    ALTER COLUMN base_metadata DROP NOT NULL,
    ADD COLUMN subject_kind text NOT NULL DEFAULT 'DATASET',
    ADD COLUMN subject_name text COLLATE "C",
    ADD CONSTRAINT changes_subject_check CHECK (
        CASE subject_kind
            WHEN 'DATASET' THEN table_uuid IS NOT NULL AND namespace IS NOT NULL AND table_name IS NOT NULL
                                AND plan IS NOT NULL AND base_metadata IS NOT NULL
            WHEN 'MODEL' THEN subject_name IS NOT NULL AND table_uuid IS NULL
            WHEN 'PIPELINE' THEN subject_name IS NOT NULL AND table_uuid IS NULL
            ELSE false
        END);
CREATE INDEX changes_of_subject ON changes (subject_kind, subject_name, settled_at DESC, change_id DESC)
    WHERE subject_name IS NOT NULL;

CREATE TABLE models (
    name        text        COLLATE "C" PRIMARY KEY,
    description text,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE model_versions (
    model               text        COLLATE "C" NOT NULL REFERENCES models,
    number              integer     NOT NULL CHECK (number > 0),
    change_id           uuid        NOT NULL REFERENCES changes,
    created_at          timestamptz NOT NULL DEFAULT now(),
    created_by          text        NOT NULL,
    reason              text,
    framework           text,
    artifact_uri        text,
    parameters          jsonb       NOT NULL DEFAULT '{}',
    metrics             jsonb       NOT NULL DEFAULT '[]',
    run_id              uuid,
    archived_at         timestamptz,
    -- That the artifact was copied to cold storage, file by file, for as long as it has yet to be removed from where it
    -- was; and why that was not done, where it was given up.
    artifact_proof      jsonb,
    artifact_failure    text,
    PRIMARY KEY (model, number)
);
CREATE INDEX model_versions_of_run ON model_versions (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX model_versions_left_artifacts ON model_versions (model, number)
    WHERE artifact_proof IS NOT NULL AND artifact_failure IS NULL;

CREATE TABLE model_training_data (
    model       text    COLLATE "C" NOT NULL,
    number      integer NOT NULL,
    place       integer NOT NULL,
    table_uuid  uuid    NOT NULL,
    namespace   text    NOT NULL,
    table_name  text    NOT NULL,
    snapshot_id bigint  NOT NULL,
    role        text    NOT NULL,
    is_inferred boolean NOT NULL DEFAULT false,
    PRIMARY KEY (model, number, place),
    FOREIGN KEY (model, number) REFERENCES model_versions
);
CREATE INDEX model_training_data_by_snapshot ON model_training_data (table_uuid, snapshot_id);

-- Which Iceberg tag keeps which snapshot for which model version. Written before the tag is set, and until it is gone.
CREATE TABLE pins (
    pin_id      uuid    PRIMARY KEY,
    change_id   uuid    NOT NULL REFERENCES changes,
    model       text    COLLATE "C" NOT NULL,
    number      integer NOT NULL,
    table_uuid  uuid    NOT NULL,
    namespace   text    NOT NULL,
    table_name  text    NOT NULL,
    snapshot_id bigint  NOT NULL,
    tag         text    NOT NULL,
    state       text    NOT NULL DEFAULT 'WANTED' CHECK (state IN ('WANTED', 'LIVE', 'RELEASING', 'RELEASED')),
    is_adopted  boolean NOT NULL DEFAULT false,
    failure     text
);
CREATE UNIQUE INDEX pins_of_tag ON pins (table_uuid, tag) WHERE state <> 'RELEASED';
CREATE INDEX pins_of_model ON pins (model, number);
CREATE INDEX pins_to_release ON pins (pin_id) WHERE state = 'RELEASING';

-- Which version of another registry each imported version was, and what it said then.
CREATE TABLE model_imports (
    source         text    COLLATE "C" NOT NULL,
    model          text    COLLATE "C" NOT NULL,
    foreign_number integer NOT NULL,
    number         integer NOT NULL,
    fingerprint    text    NOT NULL,
    PRIMARY KEY (source, model, foreign_number),
    FOREIGN KEY (model, number) REFERENCES model_versions
);

-- Which tags were set for the aliases of another registry.
CREATE TABLE alias_imports (
    source text    COLLATE "C" NOT NULL,
    model  text    COLLATE "C" NOT NULL,
    alias  text    COLLATE "C" NOT NULL,
    foreign_number integer NOT NULL,
    PRIMARY KEY (source, model, alias)
);

CREATE TABLE pipelines (
    pipeline_id text        COLLATE "C" PRIMARY KEY,
    name        text        NOT NULL,
    description text,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE pipeline_versions (
    pipeline_id text        COLLATE "C" NOT NULL REFERENCES pipelines,
    number      integer     NOT NULL CHECK (number > 0),
    change_id   uuid        NOT NULL REFERENCES changes,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by  text        NOT NULL,
    reason      text,
    dag         jsonb       NOT NULL,
    dag_digest  text        NOT NULL,
    code        text,
    code_hash   text,
    git_commit  text,
    PRIMARY KEY (pipeline_id, number)
);

-- What was reported of each run, merged: a projection of lineage_events, made again with each event of the run.
CREATE TABLE pipeline_executions (
    run_id            uuid        PRIMARY KEY,
    pipeline_id       text        COLLATE "C" NOT NULL REFERENCES pipelines,
    version_number    integer,
    status            text        NOT NULL CHECK (status IN ('RUNNING', 'SUCCESS', 'FAILED', 'ABORTED')),
    start_time        timestamptz NOT NULL,
    is_start_inferred boolean     NOT NULL,
    end_time          timestamptz,
    duration_ms       bigint,
    error             text,
    producer          text,
    recorded_by       text,
    parent_run_id     uuid,
    sql               text,
    source_url        text,
    git_commit        text,
    owners            jsonb       NOT NULL DEFAULT '[]',
    event_count       integer     NOT NULL
);
CREATE INDEX pipeline_executions_of_pipeline ON pipeline_executions (pipeline_id, start_time DESC, run_id DESC);
CREATE INDEX pipeline_executions_by_start ON pipeline_executions (start_time);

-- vertex_key is a digest of the vertex's id, because the names of other systems' datasets may have any length.
CREATE TABLE run_datasets (
    run_id      uuid    NOT NULL REFERENCES pipeline_executions ON DELETE CASCADE,
    direction   text    NOT NULL CHECK (direction IN ('INPUT', 'OUTPUT')),
    place       integer NOT NULL,
    vertex_key  bytea   NOT NULL,
    entity      text    NOT NULL,
    version     text    NOT NULL,
    name        text    NOT NULL,
    role        text    NOT NULL,
    is_inferred boolean NOT NULL,
    PRIMARY KEY (run_id, direction, place)
);
CREATE INDEX run_datasets_of_vertex ON run_datasets (vertex_key, direction);

-- Tags on versions of models and pipelines; those of datasets are Iceberg refs.
CREATE TABLE version_tags (
    subject_kind text        NOT NULL CHECK (subject_kind IN ('MODEL', 'PIPELINE')),
    subject_name text        COLLATE "C" NOT NULL,
    tag          text        COLLATE "C" NOT NULL,
    number       integer     NOT NULL,
    is_protected boolean     NOT NULL DEFAULT false,
    set_by       text        NOT NULL,
    reason       text,
    set_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject_kind, subject_name, tag)
);
CREATE INDEX version_tags_of_version ON version_tags (subject_kind, subject_name, number);

-- Runs that were reported before are to be in pipeline_executions too.
INSERT INTO lineage_pending (run_key, since)
SELECT run_key, min(received_at) FROM lineage_events GROUP BY run_key ORDER BY run_key
ON CONFLICT (run_key) DO UPDATE SET generation = nextval('lineage_generations'), lease_until = NULL, failure = NULL;
