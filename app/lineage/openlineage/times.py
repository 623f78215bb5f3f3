"""Times of events: RFC 3339 as OpenLineage asks for, and what real producers send instead."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from app.lineage.openlineage.nodes import Node, shortened

FUTURE = timedelta(days=1)
# The first and the last instant that Python knows are infinity to the database's driver.
FIRST, LAST = (
    datetime.min.replace(microsecond=1, tzinfo=UTC),
    datetime.max.replace(microsecond=999_998, tzinfo=UTC),
)

# Java writes the zone's name behind the offset, and leaves out seconds that are zero.
_TIME = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt ](?P<minute>\d{2}:\d{2})(:(?P<second>\d{2})([.,](?P<fraction>\d{1,30}))?)?"
    r" ?(?P<zone>[Zz]|[+-]\d{2}(:?\d{2})?)?(\[[\w/+:-]{1,60}\])?",
    re.ASCII,
)


def read_time(node: Node, now: datetime | None) -> datetime:
    """The instant in UTC; nanoseconds are cut, a missing zone and the far future are told. No `now`, no future.

    Raises:
        FaultError: it is no time, or a placeholder.
    """
    text = node.filled_in()
    match = _TIME.fullmatch(text.strip())
    if match is None:
        node.fail(f"{shortened(text)} is not a time such as 2026-02-15T10:00:00.000Z")
    micros = (match["fraction"] or "")[:6].ljust(6, "0")
    try:
        local = datetime.fromisoformat(f"{match['date']}T{match['minute']}:{match['second'] or '00'}.{micros}")
        instant = local.replace(tzinfo=_zone(match["zone"])).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        node.fail(f"{shortened(text)} is not a time: {error}")
    instant = min(max(instant, FIRST), LAST)
    if match["zone"] is None:
        node.warn("the time has no zone; it was taken as UTC")
    if now is not None and instant > now + FUTURE:
        node.warn("the time is more than a day in the future")
    return instant


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
