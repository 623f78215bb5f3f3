"""Taking snapshots out of a table: what is to go, whose the files are, and what that frees.

Which snapshots go is decided elsewhere. Here is what that means: the one change of metadata, and of each file whether
something that stays still reaches it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from app.domain.datasets import TableState
from app.domain.history import MAIN
from app.errors import InvalidArgumentError, JsonValue

# Owners of snapshots and files. Holders that keep something alone are numbered from 1 on.
GOING, SHARED = -1, 0


class FileKind(StrEnum):
    """What a file of a table is."""

    DATA = "DATA"
    POSITION_DELETES = "POSITION_DELETES"
    EQUALITY_DELETES = "EQUALITY_DELETES"
    MANIFEST = "MANIFEST"
    MANIFEST_LIST = "MANIFEST_LIST"
    STATISTICS = "STATISTICS"
    PARTITION_STATISTICS = "PARTITION_STATISTICS"
    METADATA = "METADATA"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFile:
    """A file as the table's metadata names it."""

    path: str
    size_bytes: int
    kind: FileKind


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTally:
    """How many files of each kind, and their bytes."""

    files: Mapping[FileKind, int] = field(default_factory=dict)
    bytes: Mapping[FileKind, int] = field(default_factory=dict)

    @property
    def file_count(self) -> int:
        """All files."""
        return sum(self.files.values())

    @property
    def size_bytes(self) -> int:
        """The bytes of all files."""
        return sum(self.bytes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Whose each snapshot is: that of no one that stays (`GOING`), of several (`SHARED`), or of one holder alone.

    `names` are the holders', by their numbers.
    """

    owners: Mapping[int, int]
    names: Mapping[int, str]


def join_owners(one: int, other: int) -> int:
    """Whose a file is that both have."""
    if one == other or other == GOING:
        return one
    return other if one == GOING else SHARED


def assign_owners(
    snapshot_ids: Iterable[int], going: Collection[int] = (), holders: Mapping[str, Collection[int]] | None = None
) -> Ownership:
    """Whose each of a table's snapshots is.

    A holder is whatever keeps snapshots: a tag, a model, a rule. A snapshot that stays and that no holder keeps is kept
    by something that was not named, and so nobody's alone.
    """
    owners = dict.fromkeys(snapshot_ids, SHARED)
    owners |= dict.fromkeys(owners.keys() & set(going), GOING)
    keepers = Counter(
        snapshot_id
        for kept in (holders or {}).values()
        for snapshot_id in set(kept)
        if owners.get(snapshot_id) == SHARED
    )
    names = dict(enumerate(holders or {}, start=1))
    for number, name in names.items():
        for snapshot_id in set((holders or {})[name]):
            if keepers.get(snapshot_id) == 1:
                owners[snapshot_id] = number
    return Ownership(owners=owners, names=names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """One change of a table that takes snapshots and refs out of it, and the state that it was decided on.

    `refs` are all refs of that state with their snapshots, `known_ids` all its snapshots.
    """

    table_uuid: UUID
    base_location: str
    snapshot_ids: frozenset[int]
    removed_refs: frozenset[str]
    refs: Mapping[str, int]
    known_ids: frozenset[int]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.snapshot_ids and not self.removed_refs

    def is_done_in(self, state: TableState) -> bool:
        """Whether a later state of the table lacks all that was to go: ids and so this state never come back."""
        history = state.history
        return history.snapshots.keys().isdisjoint(self.snapshot_ids) and not any(
            name in history.refs and history.refs[name].snapshot_id == self.refs[name] for name in self.removed_refs
        )

    def strangers_in(self, base: TableState) -> tuple[list[str], list[int]]:
        """The refs and the snapshots of the state that was really changed that this was not decided on."""
        found = base.history
        refs = sorted(name for name, ref in found.refs.items() if self.refs.get(name) != ref.snapshot_id)
        return refs, sorted(found.snapshots.keys() - self.known_ids)

    def to_json(self) -> dict[str, JsonValue]:
        """As JSON; 64-bit ids as strings."""
        return {
            "tableUuid": str(self.table_uuid),
            "baseLocation": self.base_location,
            "snapshotIds": _texts(self.snapshot_ids),
            "removedRefs": list[JsonValue](sorted(self.removed_refs)),
            "refs": {name: str(snapshot_id) for name, snapshot_id in self.refs.items()},
            "knownIds": _texts(self.known_ids),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JsonValue]) -> Expiry:
        """What `to_json` wrote."""
        refs = data["refs"]
        if not isinstance(refs, dict):
            raise TypeError("an expiry's refs are an object")
        return cls(
            table_uuid=UUID(str(data["tableUuid"])),
            base_location=str(data["baseLocation"]),
            snapshot_ids=frozenset(map(int, _list(data["snapshotIds"]))),
            removed_refs=frozenset(_list(data["removedRefs"])),
            refs={name: int(str(snapshot_id)) for name, snapshot_id in refs.items()},
            known_ids=frozenset(map(int, _list(data["knownIds"]))),
        )


def plan_expiry(state: TableState, snapshot_ids: Collection[int], removed_refs: Collection[str] = ()) -> Expiry:
    """The change that takes these snapshots and refs out of the table as it is.

    Raises:
        InvalidArgumentError: a snapshot or ref that the table has not; `main`; or a snapshot that a ref names which
            stays.
    """
    history, going, gone = state.history, frozenset(snapshot_ids), frozenset(removed_refs)
    if unknown := going - history.snapshots.keys():
        raise InvalidArgumentError("snapshots", f"{state.name} has no snapshot {min(unknown)}")
    if missing := gone - history.refs.keys():
        raise InvalidArgumentError("refs", f"{state.name} has no ref {min(missing)!r}")
    if MAIN in gone:
        raise InvalidArgumentError("refs", f"{MAIN!r} is never removed")
    for name, ref in sorted(history.refs.items()):
        if name not in gone and ref.snapshot_id in going:
            raise InvalidArgumentError("snapshots", f"{ref.snapshot_id} is kept by {name!r} of {state.name}")
    return Expiry(
        table_uuid=state.table_uuid,
        base_location=state.metadata_location,
        snapshot_ids=going,
        removed_refs=gone,
        refs={name: ref.snapshot_id for name, ref in history.refs.items()},
        known_ids=frozenset(history.snapshots),
    )


def _texts(ids: Iterable[int]) -> list[JsonValue]:
    return [str(number) for number in sorted(ids)]


def _list(value: JsonValue) -> list[str]:
    if not isinstance(value, list):
        raise TypeError(f"an expiry's ids are a list, not {value!r}")
    return [str(item) for item in value]
