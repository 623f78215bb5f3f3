-- A request that found everything as it was to be: kept so that its idempotency key answers the same again.
ALTER TABLE changes DROP CONSTRAINT changes_state_check;
ALTER TABLE changes ADD CONSTRAINT changes_state_check
    CHECK (state IN ('INTENDED', 'DONE', 'FAILED', 'UNKNOWN', 'UNCHANGED'));
