"""Files under a table's location that the table does not reach."""

from __future__ import annotations

from collections.abc import Callable

from app.domain.orphans import Orphan, OrphanKind, OrphanTally, kind_of
from app.domain.territories import Territories
from app.errors import UnsupportedTableError
from app.lake.catalog import reading_files
from app.lake.expire.reachable import reached_files
from app.lake.expire.walking import keys_of
from app.lake.listing import list_files
from app.lake.neighbours import Neighbours, others_of
from app.lake.table import LakeTable

BATCH_FILES = 1_000


def find_orphans(
    table: LakeTable,
    neighbours: Neighbours,
    modified_before_ms: int,
    take: Callable[[list[Orphan]], None],
    *,
    is_stopped: Callable[[], bool] | None = None,
) -> OrphanTally:
    """Give `take` the files that nothing reaches and that were last modified before that, at most 1,000 at a time.

    Listed is what lies under the table's location, and never anything else: places that its properties set outside it
    are not. Reached are the files of all its snapshots and statistics, its metadata file, and those in its metadata
    log. The table is as it was loaded: a file that was committed since may be told too, so look once more, at the
    table as it is then (`still_unreachable`), before anything is removed. `is_stopped` is asked every 1,000 files;
    what was found by then is no answer.

    Costs reading all manifests, and listing all files. Memory: about 180 bytes for each file that is reached.

    Raises:
        UnsupportedTableError: another table's location is the same, inside or around; the location is a whole store; a
            file is in another store.
        UnreadableTableError: a manifest is missing or broken, or a folder cannot be listed.
    """
    _check_alone(table, neighbours)
    reached, keys = reached_files(table), keys_of(table)
    partition_names = {field.name for spec in table.metadata.partition_specs for field in spec.fields}
    tally, batch = OrphanTally(), list[Orphan]()
    with reading_files(table.state.name):
        for file in list_files(table.io, table.state.location):
            tally.files += 1
            if tally.files % BATCH_FILES == 0 and is_stopped is not None and is_stopped():
                return tally
            if keys.digest(file.path) in reached:
                tally.reached += 1
            elif file.modified_ms >= modified_before_ms:
                tally.young += 1
            else:
                kind = kind_of(file.below, partition_names) if file.is_regular else OrphanKind.UNKNOWN
                orphan = Orphan(path=file.path, size_bytes=file.size_bytes, modified_ms=file.modified_ms, kind=kind)
                tally.add(orphan)
                batch.append(orphan)
            if len(batch) == BATCH_FILES:
                take(batch)
                batch = []
    if batch:
        take(batch)
    return tally


def _check_alone(table: LakeTable, neighbours: Neighbours) -> None:
    name, location = table.state.name, table.state.location
    shared = Territories([location], others_of(name, neighbours)).find_overlap()
    if shared is not None:
        raise UnsupportedTableError(
            str(name), f"a location shared with {shared}", "whose the files in it are cannot be told"
        )
    path = location.partition("://")[2].partition("/")[2] if "://" in location else location
    if not path.strip("/"):
        raise UnsupportedTableError(str(name), f"location {location!r}", "it is a whole store, and not a folder in it")
