"""When a table's turn for compaction has come: by its layer, and not while it is being written to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.history import History, SnapshotOperation, to_instant
from app.domain.names import DatasetName
from app.errors import InvalidArgumentError, InvalidTablePropertyError

SCHEDULE = "stratigraph.compaction.schedule"
# A job that comes once a week comes a few minutes earlier or later each time.
_SLACK = timedelta(hours=12)
_DURATION = re.compile(r"\s*([0-9]{1,6})\s*(s|m|h|d)\s*")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Schedule(StrEnum):
    """How often a table is compacted by a job that comes regularly."""

    WEEKLY = "weekly"
    BIWEEKLY = "biweekly"
    MONTHLY = "monthly"
    ON_DEMAND = "on-demand"

    @property
    def period(self) -> timedelta | None:
        """The time from one compaction to the next; None for never by itself."""
        return _PERIODS[self]


_PERIODS = {
    Schedule.WEEKLY: timedelta(days=7),
    Schedule.BIWEEKLY: timedelta(days=14),
    Schedule.MONTHLY: timedelta(days=28),
    Schedule.ON_DEMAND: None,
}
# By the first level of the namespace; what is in none of the layers is as raw as the first of them.
_BY_LAYER = {
    "bronze": Schedule.WEEKLY,
    "silver": Schedule.BIWEEKLY,
    "gold": Schedule.MONTHLY,
    "platinum": Schedule.ON_DEMAND,
}


def schedule_of(name: DatasetName, properties: Mapping[str, str]) -> Schedule:
    """A table's schedule: by its property `stratigraph.compaction.schedule`, else by its layer.

    Raises:
        InvalidTablePropertyError: the property is none.
    """
    stated = properties.get(SCHEDULE)
    if stated is None:
        return _BY_LAYER.get(name.namespace.split(".")[0].lower(), Schedule.WEEKLY)
    try:
        return Schedule(stated.strip().lower())
    except ValueError as error:
        known = ", ".join(schedule.value for schedule in Schedule)
        raise InvalidTablePropertyError(SCHEDULE, stated, f"one of {known} is needed") from error


def why_not_due(schedule: Schedule, last_done: datetime | None, now: datetime) -> str | None:
    """Why it is not a table's turn, in words; None where it is. `last_done` is when it was last compacted in whole."""
    if schedule.period is None:
        return "it is compacted on demand alone"
    if last_done is None or now - last_done >= schedule.period - _SLACK:
        return None
    return f"it is compacted {schedule.value}, and was on {last_done:%Y-%m-%d}"


def why_active(history: History, within: timedelta, now: datetime) -> str | None:
    """Who of a table's head says that it is being written to, in words; None where nobody does.

    Rewriting rows is no writing: a `replace` snapshot is by a compaction, and what is before it counts.
    """
    at_id = history.head_id
    while at_id is not None and (snapshot := history.snapshots.get(at_id)) is not None:
        if snapshot.operation is not SnapshotOperation.REPLACE:
            ago = now - to_instant(snapshot.timestamp_ms)
            return f"it was written to {_told(ago)} ago" if ago < within else None
        at_id = snapshot.parent_id
    return None


def parse_duration(argument: str, text: str) -> timedelta:
    """A time such as `15m`.

    Raises:
        InvalidArgumentError: it is none.
    """
    found = _DURATION.fullmatch(text.lower())
    if found is None:
        raise InvalidArgumentError(argument, f"a time such as 90s, 15m or 2h is needed, not {text[:40]!r}")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def _told(ago: timedelta) -> str:
    # Of a writer whose clock is ahead: just now.
    seconds = max(0, int(ago.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
