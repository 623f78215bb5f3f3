"""The registry: what only Postgres knows. Records of changes, and hints where tables are."""
