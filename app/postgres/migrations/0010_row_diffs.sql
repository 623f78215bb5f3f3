-- Differences of immutable versions, kept so that they are found once. `key` is made of all that the answer depends on;
-- what was not asked for longest goes first when they take too much room together.
CREATE TABLE row_diffs (
    key        bytea       PRIMARY KEY,
    table_uuid uuid        NOT NULL,
    document   bytea       NOT NULL,
    size_bytes bigint      NOT NULL GENERATED ALWAYS AS (octet_length(document)) STORED,
    made_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    used_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX row_diffs_by_use ON row_diffs (used_at);
