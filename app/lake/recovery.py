"""Finding out, from a table's own metadata files, whether a plan was ever committed."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from pyiceberg.io import FileIO

from app.domain.datasets import TableState
from app.domain.names import DatasetName
from app.domain.ref_plans import RefPlan
from app.lake.internals import BrokenMetadataError, read_metadata
from app.lake.metadata_cache import MetadataCache
from app.lake.table import LakeTable, to_state


class Finding(StrEnum):
    """What the metadata files say about a plan."""

    COMMITTED = "COMMITTED"
    NOT_COMMITTED = "NOT_COMMITTED"
    UNDECIDABLE = "UNDECIDABLE"


def find_commit(
    table: LakeTable,
    plan: RefPlan,
    base_location: str,
    cache: MetadataCache,
    *,
    claimed: Collection[str] = (),
) -> tuple[Finding, str | None]:
    """Whether some step from `base_location` to the present made the plan's updates, and in which metadata file.

    The table's metadata log names the files in between; each step between two of them was one commit. Costs reading
    those files (100 at the most, by Iceberg's default). The log forgets: where it no longer reaches back to the base,
    or a file of it is gone or broken, a plan that is not seen in the rest is UNDECIDABLE.

    `claimed` are metadata files that other changes are known to have made: the same request made twice looks the same.
    """
    locations = [entry.metadata_file for entry in table.metadata.metadata_log] + [table.state.metadata_location]
    is_whole = base_location in locations
    if is_whole:
        locations = locations[locations.index(base_location) :]
    earlier: TableState | None = None
    for location in locations:
        later = _find_state(table.io, location, table.state.name, cache)
        if later is None:
            is_whole = False
        elif earlier is not None and location not in claimed and plan.is_visible_in(earlier, later):
            return Finding.COMMITTED, location
        earlier = later
    return (Finding.NOT_COMMITTED if is_whole else Finding.UNDECIDABLE), None


def _find_state(io: FileIO, location: str, name: DatasetName, cache: MetadataCache) -> TableState | None:
    metadata = cache.find(location)
    if metadata is None:
        try:
            metadata = read_metadata(io, location, cache)
        except (FileNotFoundError, BrokenMetadataError):
            # Writers may be told to delete old metadata files; one that is broken will not mend by waiting either.
            return None
    return to_state(metadata, location, name)
