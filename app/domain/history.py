"""The history of one table as a graph: snapshots, the refs that name them, and main's log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property

MAIN = "main"
# The largest age that Iceberg's metadata can hold, and what engines go by where neither ref nor table sets one. They
# compare `now - timestamp <= age` (Iceberg's RemoveSnapshots), so nothing is ever older, and nothing overflows.
ENDLESS_AGE_MS = 2**63 - 1
# The end of the year 9999, the last that dates can tell. What lasts beyond it lasts for ever.
END_OF_TIME_MS = 253_402_300_799_999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


class SnapshotOperation(StrEnum):
    """Iceberg's four kinds of commit (spec, "Snapshots", field `operation`)."""

    APPEND = "append"
    REPLACE = "replace"
    OVERWRITE = "overwrite"
    DELETE = "delete"


class RefKind(StrEnum):
    """Iceberg's two kinds of ref."""

    BRANCH = "branch"
    TAG = "tag"


def to_instant(timestamp_ms: int) -> datetime:
    """Iceberg's milliseconds as an instant; of those beyond the years 1 to 9999, as some write, the nearest one."""
    try:
        return _EPOCH + timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        return _LAST if timestamp_ms > 0 else _FIRST


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One immutable state of a table."""

    snapshot_id: int
    parent_id: int | None
    sequence_number: int | None
    timestamp_ms: int
    operation: SnapshotOperation
    summary: Mapping[str, str]
    schema_id: int | None

    @property
    def order(self) -> tuple[int, int, int]:
        """Sort key, oldest first; total, because timestamps may tie and run backwards."""
        return (self.timestamp_ms, self.sequence_number or 0, self.snapshot_id)


def newest_first(snapshot: Snapshot) -> tuple[int, int, int]:
    """Sort key of lists of snapshots, and what their cursors hold."""
    timestamp_ms, sequence_number, snapshot_id = snapshot.order
    return (-timestamp_ms, -sequence_number, -snapshot_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """A name for a snapshot, with its retention settings."""

    name: str
    kind: RefKind
    snapshot_id: int
    min_snapshots_to_keep: int | None = None
    max_snapshot_age_ms: int | None = None
    max_ref_age_ms: int | None = None

    @property
    def is_endless(self) -> bool:
        """Whether the ref says itself that no age ends it. Where it says nothing, the table's properties decide."""
        return self.max_ref_age_ms is not None and self.max_ref_age_ms >= END_OF_TIME_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """From `timestamp_ms` on, main was at `snapshot_id`."""

    timestamp_ms: int
    snapshot_id: int


@dataclass(frozen=True, kw_only=True)
class History:
    """All snapshots and refs of one table at one moment."""

    snapshots: Mapping[int, Snapshot]
    refs: Mapping[str, Ref]
    log: tuple[LogEntry, ...] = field(default=())

    @property
    def head_id(self) -> int | None:
        """Snapshot id of main's head, None for a table without snapshots."""
        main = self.refs.get(MAIN)
        return main.snapshot_id if main else None

    @property
    def head(self) -> Snapshot | None:
        """Snapshot at main's head."""
        return None if self.head_id is None else self.snapshots.get(self.head_id)

    @cached_property
    def newest_first(self) -> tuple[Snapshot, ...]:
        """All snapshots, newest first, in a total order that appends do not change."""
        return tuple(sorted(self.snapshots.values(), key=lambda s: s.order, reverse=True))

    @cached_property
    def tags(self) -> tuple[Ref, ...]:
        """All tags, by name."""
        return tuple(ref for _, ref in sorted(self.refs.items()) if ref.kind is RefKind.TAG)

    @cached_property
    def branches(self) -> tuple[Ref, ...]:
        """All branches: main first, the others by name."""
        found = [ref for ref in self.refs.values() if ref.kind is RefKind.BRANCH]
        return tuple(sorted(found, key=lambda ref: (ref.name != MAIN, ref.name)))

    @cached_property
    def tags_by_snapshot(self) -> Mapping[int, tuple[Ref, ...]]:
        """The tags of each tagged snapshot, by name."""
        found: dict[int, list[Ref]] = {}
        for ref in self.tags:
            found.setdefault(ref.snapshot_id, []).append(ref)
        return {snapshot_id: tuple(refs) for snapshot_id, refs in found.items()}

    @cached_property
    def current_lineage(self) -> frozenset[int]:
        """Ids of main's head and all its ancestors."""
        return frozenset(s.snapshot_id for s in self.ancestors(self.head_id))

    def ancestors(self, snapshot_id: int | None) -> Iterator[Snapshot]:
        """The snapshot itself, its parent, and so on, until a root or an expired parent. Cycles end."""
        seen: set[int] = set()
        while snapshot_id is not None and snapshot_id not in seen:
            seen.add(snapshot_id)
            snapshot = self.snapshots.get(snapshot_id)
            if snapshot is None:
                return
            yield snapshot
            snapshot_id = snapshot.parent_id

    def ahead_behind(self, snapshot_id: int) -> tuple[int, int]:
        """How many snapshots this one has that main has not, and the other way round."""
        own = {s.snapshot_id for s in self.ancestors(snapshot_id)}
        return len(own - self.current_lineage), len(self.current_lineage - own)

    @cached_property
    def expired_ids(self) -> frozenset[int]:
        """Ids that the history still mentions (as parents or in the log) but no longer holds."""
        mentioned = {s.parent_id for s in self.snapshots.values() if s.parent_id is not None}
        mentioned |= {entry.snapshot_id for entry in self.log}
        return frozenset(mentioned - self.snapshots.keys())


def same_rows_as(history: History, snapshot_id: int) -> int:
    """The snapshot itself, or of a `replace` snapshot (compaction, by any engine) its nearest ancestor that is none.

    A replace snapshot holds the same rows in other files; where its ancestors have expired, the last one known.
    """
    found = snapshot_id
    for snapshot in history.ancestors(snapshot_id):
        found = snapshot.snapshot_id
        if snapshot.operation is not SnapshotOperation.REPLACE:
            break
    return found
