"""Instants and spans in Iceberg's milliseconds, and how they are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.domain.history import END_OF_TIME_MS, to_instant

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = ((DAY_MS, "day"), (HOUR_MS, "hour"), (60_000, "minute"), (1_000, "second"))


def to_ms(instant: datetime) -> int:
    """Milliseconds since 1970, rounded down; exact, as floats are not."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def end_of_span(start_ms: int, length_ms: int) -> int | None:
    """The last millisecond of a span that begins at `start_ms`; None where it has no end that a date can tell."""
    end_ms = start_ms + length_ms
    return None if end_ms >= END_OF_TIME_MS else end_ms


def shown_instant(timestamp_ms: int) -> str:
    """`2026-02-15 10:00 UTC`."""
    return f"{to_instant(timestamp_ms):%Y-%m-%d %H:%M} UTC"


def shown_span(length_ms: int) -> str:
    """The length in the largest unit that divides it: `90 days`, `36 hours`, `1 minute`, `1500 ms`; `no end`.

    Without separators, because it is part of what reasons are called.
    """
    if length_ms >= END_OF_TIME_MS:
        return "no end"
    for unit_ms, name in _UNITS:
        if length_ms and length_ms % unit_ms == 0:
            count = length_ms // unit_ms
            return f"{count} {name}" + ("" if count == 1 else "s")
    return f"{length_ms} ms"


def shown_count(count: int, noun: str) -> str:
    """`1 day`, `1,842 snapshots`, for sentences."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
