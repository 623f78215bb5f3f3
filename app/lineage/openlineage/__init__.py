"""OpenLineage's events, read into values of the domain. Pure: nothing here asks a store."""
