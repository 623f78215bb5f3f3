"""The lineage graph in tables of Postgres."""
