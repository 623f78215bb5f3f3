"""The types of the schema, one noun a module."""
