"""How far a command is, for whoever waits at a terminal."""

from __future__ import annotations

import sys
import time

from app.cli.output import printable

_WIDTH = 20
_MESSAGE_WIDTH = 100
# Before so much is done, and so much time has passed, nothing can be told of the rest.
_LEAST_SHARE, _LEAST_S = 0.05, 3.0


class Progress:
    """A line on stderr that says how far it is, where that is a terminal."""

    def __init__(self, *, is_shown: bool) -> None:
        self._is_shown = is_shown and sys.stderr.isatty()
        self._begun = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def report(self, fraction: float, message: str) -> None:
        """So far, and at this."""
        if self._is_shown:
            share = min(1.0, fraction)
            done, left = round(_WIDTH * share), time_left(share, time.monotonic() - self._begun)
            told = f"[{'#' * done}{'.' * (_WIDTH - done)}] {share:4.0%} {left}{printable(message)[:_MESSAGE_WIDTH]}"
            sys.stderr.write(f"\r\x1b[K{told}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def time_left(share: float, passed_s: float) -> str:
    """How much longer it takes at the pace so far, with a blank after it; nothing where that cannot be told."""
    if share < _LEAST_SHARE or share >= 1.0 or passed_s < _LEAST_S:
        return ""
    left_s = round(passed_s * (1.0 - share) / share)
    hours, minutes, seconds = left_s // 3600, left_s % 3600 // 60, left_s % 60
    return f"{hours}:{minutes:02}:{seconds:02} left, " if hours else f"{minutes}:{seconds:02} left, "
