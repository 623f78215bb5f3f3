-- What events told of datasets that are in no catalog of ours: the last word on each aspect of each, by the time of the
-- event and, of two of one moment, the hash of its body. It can always be built again from the log.
CREATE TABLE external_facts (
    -- Of namespace and name, which may be longer than an index entry.
    dataset_key bytea       NOT NULL,
    aspect      text        NOT NULL,
    namespace   text        NOT NULL,
    name        text        NOT NULL,
    told_at     timestamptz NOT NULL,
    told_by     bytea       NOT NULL,
    value       jsonb,
    PRIMARY KEY (dataset_key, aspect)
);
