"""What taking snapshots out of a table frees, to the byte, before anything is done."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from app.domain.expiry import GOING, SHARED, Expiry, FileKind, FileTally, TableFile, assign_owners, plan_expiry
from app.domain.territories import Territories
from app.errors import UnsupportedTableError
from app.lake.expire.file_set import FileSet, in_batches
from app.lake.expire.walking import WORKERS, keys_of, own_locations, walk_files
from app.lake.neighbours import Neighbours, others_of
from app.lake.table import LakeTable

BATCH_FILES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryPlan:
    """What is to go from a table, and what that frees.

    `total` are all files of the table's snapshots and statistics, `freed` those of them that nothing reaches
    afterwards; `pinned` is, of each holder, the bytes that it alone keeps. The table's own metadata files
    (`….metadata.json`) are in none of them: a commit adds one, and frees none. `foreign` are files that nothing of this
    table reaches afterwards either, but that lie in another table's location, of whose files this one may have been
    made: they are left alone.
    """

    expiry: Expiry
    total: FileTally
    freed: FileTally
    foreign: FileTally
    pinned: Mapping[str, int]
    _files: FileSet

    def batches(self, size: int = BATCH_FILES) -> Iterator[list[TableFile]]:
        """The files that are freed, so many at a time: to be written down before the commit, and deleted after it."""
        return in_batches(self._files.going(), size)


def measure_expiry(
    table: LakeTable,
    snapshot_ids: Collection[int],
    removed_refs: Collection[str] = (),
    holders: Mapping[str, Collection[int]] | None = None,
    neighbours: Neighbours | None = None,
    *,
    workers: int = WORKERS,
) -> ExpiryPlan:
    """Plan to take these snapshots and refs out of the table as it was loaded.

    `holders` are names of whatever keeps snapshots, with the ids that each keeps; where they are given, the plan says
    what each alone keeps. `neighbours` are the locations of the catalog's tables.

    Costs as `app.lake.expire.walking.walk_files`, with or without them.

    Raises:
        InvalidArgumentError: they cannot go; as `app.domain.expiry.plan_expiry`.
        UnsupportedTableError: another table has the same location: its files may be this one's.
        UnreadableTableError, UnsupportedTableError: as `walk_files`.
    """
    territories = Territories(own_locations(table), others_of(table.state.name, neighbours or {}))
    if (twin := territories.find_twin()) is not None:
        raise UnsupportedTableError(
            str(table.state.name), f"the location of {twin} too", "that one may need files that this one does not"
        )
    expiry = plan_expiry(table.state, snapshot_ids, removed_refs)
    ownership = assign_owners(expiry.known_ids, expiry.snapshot_ids, holders)
    files = walk_files(table, ownership.owners, workers=workers)
    foreign = files.release(lambda path: territories.find_owner(path) is not None)
    sizes = files.bytes_by_owner()
    return ExpiryPlan(
        expiry=expiry,
        total=files.tally(),
        freed=files.tally(GOING),
        foreign=foreign,
        pinned={name: sizes.get(number, 0) for number, name in ownership.names.items()},
        _files=files,
    )


def still_unreachable(table: LakeTable, paths: Iterable[str], *, workers: int = WORKERS) -> list[str]:
    """Those of the paths that nothing of the table as it was loaded reaches, metadata files included.

    For a record of files that was not deleted to its end: a file may have been added again since.

    Costs as `walk_files`.

    Raises:
        UnreadableTableError, UnsupportedTableError: as `walk_files`.
    """
    reached, keys = reached_files(table, workers=workers), keys_of(table)
    return [path for path in paths if keys.digest(path) not in reached]


def reached_files(table: LakeTable, *, workers: int = WORKERS) -> FileSet:
    """All that the table as it was loaded reaches, with its current and its logged metadata files (of unknown size).

    Raises:
        UnreadableTableError, UnsupportedTableError: as `walk_files`.
    """
    files = walk_files(table, assign_owners(table.state.history.snapshots).owners, workers=workers)
    keys, logged = keys_of(table), (entry.metadata_file for entry in table.metadata.metadata_log)
    for path in (table.state.metadata_location, *logged):
        files.add(keys.digest(path), path, 0, FileKind.METADATA, SHARED)
    return files
