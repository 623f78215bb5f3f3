-- Workers, so that others can tell whether one is at work. A row is written by the loop that does the work, not beside
-- it, and goes when its worker ends; that of a killed one is told by its age.
CREATE TABLE workers (
    worker_id  uuid        PRIMARY KEY,
    host       text        NOT NULL,
    pid        integer     NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
