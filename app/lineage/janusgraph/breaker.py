"""A circuit breaker: who calls a server that is away fails at once, rather than after a timeout each."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.errors import LineageUnavailableError


class CircuitBreaker:
    """Opens after so many failures in a row, for so many seconds; then lets one call through, whose outcome decides.

    Used from one event loop.
    """

    def __init__(self, *, failures: int, pause_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._pause_s = pause_s
        self._now = now
        self._failures = 0
        self._opened_at: float | None = None
        self._is_trying = False
        self._reason = ""

    @property
    def is_open(self) -> bool:
        """Whether calls fail at once."""
        return self._opened_at is not None

    def enter(self) -> None:
        """Ask for a call; one that was allowed has to be followed by `succeed`, `fail` or `abandon`.

        Raises:
            LineageUnavailableError: the circuit is open.
        """
        if self._opened_at is None:
            return
        if self._is_trying or self._now() < self._opened_at + self._pause_s:
            raise LineageUnavailableError(f"{self._reason}; it is tried again within {self._pause_s:g} s")
        self._is_trying = True

    def succeed(self) -> None:
        """The server answered."""
        self._failures = 0
        self._opened_at = None
        self._is_trying = False

    def fail(self, reason: str) -> None:
        """The server did not answer."""
        self._failures += 1
        self._reason = reason
        if self._is_trying or self._failures >= self._limit:
            self._opened_at = self._now()
        self._is_trying = False

    def abandon(self) -> None:
        """Nobody waits for the outcome any more: somebody else may try."""
        self._is_trying = False
