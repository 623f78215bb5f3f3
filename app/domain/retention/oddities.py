"""What is odd about a table that retention is planned for: told, and never a reason to expire anything."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from app.domain.history import History, Snapshot
from app.domain.retention.holders import Holders
from app.domain.retention.iceberg import refs_retained
from app.domain.retention.instants import shown_count, shown_instant
from app.domain.retention.lines import Lines
from app.domain.retention.overrides import TableRules
from app.domain.retention.plans import PlanWarning, WarningKind

# Writers' clocks differ; Iceberg's own checks of metadata let them by so much.
_TOLERATED_MS = 60_000
_SHOWN = 5


def find_oddities(
    history: History, rules: TableRules, lines: Lines, holders: Holders, removed: Collection[str], now_ms: int
) -> tuple[PlanWarning, ...]:
    """All that is odd; `removed` are the names of the tags that go."""
    return (
        *_clocks(history, lines, now_ms),
        *_parents(lines),
        *_dangling(history),
        *_lost(history, holders),
        *_without_effect(rules),
        *_ended_elsewhere(history, rules, removed, now_ms),
    )


def _clocks(history: History, lines: Lines, now_ms: int) -> Iterator[PlanWarning]:
    newest = max(history.snapshots.values(), key=_commit_order, default=None)
    if newest is not None and newest.timestamp_ms > now_ms:
        yield PlanWarning(
            kind=WarningKind.CLOCK_BEHIND,
            text=f"The clock says {shown_instant(now_ms)}, but the newest snapshot, {newest.snapshot_id}, was made at "
            f"{shown_instant(newest.timestamp_ms)}: one of the two clocks is wrong. What seems to be of the "
            "future counts as new.",
            snapshot_ids=(newest.snapshot_id,),
        )
    future = [each.snapshot_id for each in history.newest_first if each.timestamp_ms > now_ms]
    if future:
        yield PlanWarning(
            kind=WarningKind.FUTURE_SNAPSHOTS,
            text=f"Made in the future, and kept: {_ids(future)}.",
            snapshot_ids=tuple(future),
        )
    disordered = [
        each.snapshot_id
        for each in history.newest_first
        if lines.made_ms[each.snapshot_id] - each.timestamp_ms > _TOLERATED_MS
    ]
    if disordered:
        yield PlanWarning(
            kind=WarningKind.DISORDERED_TIMESTAMPS,
            text=f"Older by their timestamps than what they were made from, and counted as no older: "
            f"{_ids(disordered)}.",
            snapshot_ids=tuple(disordered),
        )


def _commit_order(snapshot: Snapshot) -> tuple[int, int, int]:
    """The order of commits as sequence numbers tell it, which clocks cannot disturb; format version 1 has none."""
    return (snapshot.sequence_number or 0, snapshot.timestamp_ms, snapshot.snapshot_id)


def _parents(lines: Lines) -> Iterator[PlanWarning]:
    if lines.circular:
        ids = tuple(sorted(lines.circular))
        text = f"The metadata is broken: parents run in a circle, and are kept: {_ids(ids)}."
        yield PlanWarning(kind=WarningKind.CIRCULAR_PARENTS, text=text, snapshot_ids=ids)


def _dangling(history: History) -> Iterator[PlanWarning]:
    names = tuple(sorted(name for name, ref in history.refs.items() if ref.snapshot_id not in history.snapshots))
    if names:
        text = f"The metadata is broken: there is no snapshot at {_names(names)}, which stays as it is."
        yield PlanWarning(kind=WarningKind.DANGLING_REF, text=text, refs=names)


def _lost(history: History, holders: Holders) -> Iterator[PlanWarning]:
    needed = [
        *((pin.snapshot_id, f"training data of {pin.model} v{pin.number}") for pin in holders.keeping_pins),
        *((release.snapshot_id, f"release {release.name}") for release in holders.releases),
        *((hold.snapshot_id, f"hold {hold.hold_id}") for hold in holders.holds),
    ]
    for snapshot_id, what in needed:
        if snapshot_id not in history.snapshots:
            text = f"Snapshot {snapshot_id} is needed ({what}), but is not in the table any more."
            yield PlanWarning(kind=WarningKind.LOST_DATA, text=text, snapshot_ids=(snapshot_id,))


def _without_effect(rules: TableRules) -> Iterator[PlanWarning]:
    for setting in rules.without_effect:
        text = f"The table property {setting} has no effect: more is kept anyway, and whichever keeps more wins."
        yield PlanWarning(kind=WarningKind.OVERRIDE_WITHOUT_EFFECT, text=text)


def _ended_elsewhere(
    history: History, rules: TableRules, removed: Collection[str], now_ms: int
) -> Iterator[PlanWarning]:
    staying = refs_retained(history, now_ms=now_ms, settings=rules.iceberg)
    ended = tuple(
        name
        for name, ref in sorted(history.refs.items())
        if name not in staying and name not in removed and ref.snapshot_id in history.snapshots
    )
    if ended:
        yield PlanWarning(
            kind=WarningKind.ENDED_ELSEWHERE,
            text=f"Past max-ref-age-ms, so that an expiry by another engine removes it; kept here: {_names(ended)}.",
            refs=ended,
        )


def _ids(ids: Collection[int]) -> str:
    return f"{shown_count(len(ids), 'snapshot')} ({_some(map(str, ids), len(ids))})"


def _names(names: Collection[str]) -> str:
    return _some(map(repr, names), len(names))


def _some(texts: Iterable[str], count: int) -> str:
    shown = [text for _, text in zip(range(_SHOWN), texts, strict=False)]
    return ", ".join(shown) + (f" and {count - _SHOWN} more" if count > _SHOWN else "")
