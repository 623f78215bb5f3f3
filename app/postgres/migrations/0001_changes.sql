-- Who did what, when and why. A row is written before the Iceberg commit it is about (state INTENDED, with a lease) and
-- settled after it; rows whose lease ran out are settled by whichever process finds them.
CREATE TABLE changes (
    change_id        uuid        PRIMARY KEY,
    kind             text        NOT NULL,
    state            text        NOT NULL DEFAULT 'INTENDED'
                                 CHECK (state IN ('INTENDED', 'DONE', 'FAILED', 'UNKNOWN')),
    table_uuid       uuid        NOT NULL,
    namespace        text        NOT NULL,
    table_name       text        NOT NULL,
    actor            text        NOT NULL,
    reason           text,
    plan             jsonb       NOT NULL,
    details          jsonb       NOT NULL DEFAULT '{}',
    base_metadata    text        NOT NULL,
    idempotency_key  text,
    request_hash     bytea,
    intended_at      timestamptz NOT NULL DEFAULT now(),
    lease_until      timestamptz NOT NULL,
    settled_at       timestamptz,
    settled_metadata text,
    settled_by       text,
    failure          text
);

-- A key belongs to the attempt that took place; a failed attempt frees it.
CREATE UNIQUE INDEX changes_idempotency ON changes (actor, idempotency_key)
    WHERE idempotency_key IS NOT NULL AND state <> 'FAILED';
CREATE INDEX changes_open ON changes (lease_until) WHERE state = 'INTENDED';
CREATE INDEX changes_listed ON changes (settled_at DESC, change_id DESC) WHERE state IN ('DONE', 'UNKNOWN');
CREATE INDEX changes_of_table ON changes (table_uuid, settled_at DESC, change_id DESC);

-- What tags a change set, one row each: the only record of a tag's author, reason and requested protection.
CREATE TABLE tag_records (
    change_id    uuid    NOT NULL REFERENCES changes,
    table_uuid   uuid    NOT NULL,
    tag          text    NOT NULL,
    snapshot_id  bigint  NOT NULL,
    is_protected boolean NOT NULL DEFAULT false,
    PRIMARY KEY (table_uuid, tag, change_id)
);

-- Under which name a table was last seen: a hint for finding it by its id, verified whenever it is used.
CREATE TABLE dataset_names (
    table_uuid uuid        PRIMARY KEY,
    namespace  text        NOT NULL,
    table_name text        NOT NULL,
    seen_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX dataset_names_by_name ON dataset_names (namespace, table_name);
