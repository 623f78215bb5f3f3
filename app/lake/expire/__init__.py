"""Taking snapshots out of tables, and the files that nothing reaches any more off the disk."""
