"""Rewriting files: their live rows are read, sorted where the table has an order, and written to new files."""
