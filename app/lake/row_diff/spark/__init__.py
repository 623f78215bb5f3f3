"""The rows of two versions joined in a Spark that is there, where they are too many for one machine."""
