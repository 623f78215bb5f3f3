"""What cannot be taken in from other systems."""

from __future__ import annotations

from app.errors.base import Unsupported


class MissingExtraError(Unsupported):
    """A part of this program that was not installed."""

    code = "MISSING_EXTRA"

    def __init__(self, extra: str, reason: str) -> None:
        super().__init__(
            f"This needs the optional part {extra!r}: pip install 'stratigraph[{extra}]' ({reason}).",
            extra=extra,
            reason=reason,
        )


class UnsupportedSourceError(Unsupported):
    """Another system that answers, but that nothing can be imported from as it is."""

    code = "UNSUPPORTED_SOURCE"

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"Nothing can be imported from {source}: {reason}.", source=source, reason=reason)
