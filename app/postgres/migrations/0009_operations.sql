-- Long jobs that were asked for. A worker takes one by a lease of its own, and writes by that lease's id alone: one that
-- lost it (another has taken the operation over, or it has ended) writes nothing any more.
CREATE TABLE operations (
    operation_id        uuid             PRIMARY KEY,
    kind                text             NOT NULL,
    status              text             NOT NULL DEFAULT 'QUEUED'
                                         CHECK (status IN ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    -- Not jsonb, which changes the order of members and the spelling of numbers.
    request             json             NOT NULL,
    request_hash        bytea            NOT NULL,
    requested_by        text             NOT NULL,
    reason              text,
    requested_at        timestamptz      NOT NULL DEFAULT clock_timestamp(),
    idempotency_key     text,
    progress            double precision NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
    message             text,
    -- Begun, and not given back: what is left of an attempt whose worker died.
    attempts            integer          NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    worker              text,
    lease_id            uuid,
    lease_until         timestamptz,
    started_at          timestamptz,
    ended_at            timestamptz,
    cancel_requested_at timestamptz,
    cancel_requested_by text,
    result              json,
    failure             json,
    CHECK ((status = 'RUNNING') = (lease_id IS NOT NULL)),
    CHECK ((lease_id IS NULL) = (lease_until IS NULL)),
    CHECK (status <> 'RUNNING' OR started_at IS NOT NULL),
    CHECK ((status IN ('SUCCEEDED', 'FAILED', 'CANCELLED')) = (ended_at IS NOT NULL)),
    CHECK ((status = 'FAILED') = (failure IS NOT NULL)),
    CHECK (result IS NULL OR status = 'SUCCEEDED')
);

-- A key belongs to what is under way or was done; one that failed or was cancelled frees it.
CREATE UNIQUE INDEX operations_idempotency ON operations (requested_by, idempotency_key)
    WHERE idempotency_key IS NOT NULL AND status NOT IN ('FAILED', 'CANCELLED');
-- Without the lease, so that a heartbeat touches no index.
CREATE INDEX operations_open ON operations (requested_at, operation_id) WHERE status IN ('QUEUED', 'RUNNING');
CREATE INDEX operations_listed ON operations (requested_at DESC, operation_id DESC);
CREATE INDEX operations_ended ON operations (ended_at) WHERE ended_at IS NOT NULL;
