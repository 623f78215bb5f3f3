"""Files that lie with a table and that it does not know: which of them are Iceberg's, and which somebody else's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum

_SUFFIXES = (
    ".parquet",
    ".orc",
    ".avro",
    ".puffin",
    ".stats",
    ".metadata.json",
    ".metadata.json.gz",
)


class OrphanKind(StrEnum):
    """What an unreachable file looks to be.

    `ORPHAN` has a name as Iceberg's writers give. `HIDDEN` is, or lies in a folder, called `_…` or `.…`, which engines
    do not look at: checksums, markers, what others stage. `UNKNOWN` is anything else, `version-hint.text` for one,
    which Hadoop catalogs cannot do without.
    """

    ORPHAN = "ORPHAN"
    HIDDEN = "HIDDEN"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A file under a table's location that the table does not reach."""

    path: str
    size_bytes: int
    modified_ms: int
    kind: OrphanKind


@dataclass(slots=True, kw_only=True)
class OrphanTally:
    """What was found under a table's location.

    `young` are files that nothing reaches and that are younger than the guard: they may be about to be committed.
    """

    files: int = 0
    reached: int = 0
    young: int = 0
    orphans: Counter[OrphanKind] = field(default_factory=Counter)
    bytes: Counter[OrphanKind] = field(default_factory=Counter)

    def add(self, orphan: Orphan) -> None:
        """Count one."""
        self.orphans[orphan.kind] += 1
        self.bytes[orphan.kind] += orphan.size_bytes


def kind_of(relative_path: str, partition_names: Collection[str] = ()) -> OrphanKind:
    """What a file looks to be, by its path below the table's location.

    Folders of a partition field whose name begins with `_` are not hidden, as in Iceberg's own removal of orphans.
    """
    steps = relative_path.split("/")
    for step in steps:
        if step.startswith(("_", ".")) and step.partition("=")[0] not in partition_names:
            return OrphanKind.HIDDEN
    return OrphanKind.ORPHAN if steps[-1].endswith(_SUFFIXES) else OrphanKind.UNKNOWN
