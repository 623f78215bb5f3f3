-- Which version a use of a dataset was bound to when it was first met. The tables' own histories forget; a graph that is
-- made again from the log has to come out the same.
CREATE TABLE lineage_bindings (
    binding_key      bytea       PRIMARY KEY,
    dataset_name     text        NOT NULL,
    entity           text        NOT NULL,
    version          text        NOT NULL,
    shown_name       text        NOT NULL,
    is_inferred      boolean     NOT NULL,
    bound_at         timestamptz NOT NULL DEFAULT now()
);
