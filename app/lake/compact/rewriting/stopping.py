"""How a rewrite ends before its end."""


class RewriteStoppedError(Exception):
    """The rewrite was stopped by its caller; it is raised in the thread that rewrites."""
