"""Why files cannot be merged page by page."""


class UnmergeableError(Exception):
    """The files of a bin cannot be merged as they are, in words; rewriting them row by row is what is left."""
