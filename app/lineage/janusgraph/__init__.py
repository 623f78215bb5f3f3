"""The lineage graph in JanusGraph."""
