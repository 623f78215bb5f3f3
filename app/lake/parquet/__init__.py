"""Parquet's own metadata, read and written field by field: what Arrow does not tell of a file."""
