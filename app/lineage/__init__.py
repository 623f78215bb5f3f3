"""The lineage graph: a projection of what the registry holds, in JanusGraph or in Postgres."""
