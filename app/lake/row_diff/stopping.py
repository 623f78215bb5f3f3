"""How a comparison ends before its end."""


class RowDiffStoppedError(Exception):
    """The comparison was stopped by its caller; it is raised in the thread that compares."""
