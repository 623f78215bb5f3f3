"""Bringing small files together: planned, carried out by hand or as an operation, and recorded."""
