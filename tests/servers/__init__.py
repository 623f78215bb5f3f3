"""Real servers that the tests start: an Iceberg REST catalog, an S3 store, Spark."""
