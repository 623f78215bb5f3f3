"""Postgres below the stores: the embedded server, connection pools, locks and schema migrations."""
