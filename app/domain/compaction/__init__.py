"""When a table is compacted and how: rules, without any reading or writing."""
