"""Stratigraph: lineage-aware versioning of a lakehouse."""
