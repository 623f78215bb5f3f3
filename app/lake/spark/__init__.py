"""Reaching a Spark that is there: over Spark Connect, whose client is an optional part."""
