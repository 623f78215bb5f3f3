"""Compaction: the same rows in fewer files, by copying or by rewriting, committed as an Iceberg `replace` snapshot."""
