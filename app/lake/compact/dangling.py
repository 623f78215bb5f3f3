"""Delete files that are about no live file any more, which other engines leave behind: Spark until somebody's next
commit, and longer what is as old as the new files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.manifest import ManifestContent
from pyiceberg.table.refs import MAIN_BRANCH

from app.lake.catalog import reading_files
from app.lake.commits import WRITABLE_FORMAT_VERSION
from app.lake.compact.commit import drop_deletes, in_attempts
from app.lake.manifest_files import list_manifests
from app.lake.metadata_cache import MetadataCache
from app.lake.row_diff.manifests import counted_files
from app.lake.table import LakeTable


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedDeletes:
    """The delete files that a snapshot does without; None for a table that has none such."""

    paths: tuple[str, ...]
    snapshot_id: int | None


def drop_dangling_deletes(
    catalog: Catalog,
    load: Callable[[], LakeTable],
    table_uuid: str,
    cache: MetadataCache,
    properties: Mapping[str, str],
) -> DroppedDeletes:
    """Commit a snapshot of main without them, where there are some and metadata of the table's version can be written.

    Raises: as `app.lake.compact.commit.commit_bins`.
    """

    nothing = DroppedDeletes(paths=(), snapshot_id=None)

    def attempt(table: LakeTable) -> DroppedDeletes:
        found = find_dangling_deletes(table)
        if not found:
            return nothing
        made = drop_deletes(catalog, load, table, cache, found, properties=properties)
        return DroppedDeletes(paths=tuple(sorted(found)), snapshot_id=made)

    if load().state.format_version > WRITABLE_FORMAT_VERSION:
        return nothing
    return in_attempts(catalog, load, table_uuid, attempt)


def find_dangling_deletes(table: LakeTable) -> set[str]:
    """The live delete files of main's head that are about no live data file, by sequence number, partition and path.

    Costs reading its manifests, where it has delete files.
    """
    head = table.metadata.snapshot_by_name(MAIN_BRANCH)
    if head is None:
        return set()
    with reading_files(table.state.name):
        paths = {
            entry.data_file.file_path
            for manifest in list_manifests(table.io, head)
            if manifest.content == ManifestContent.DELETES
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
        }
        if not paths:
            return set()
        used = {path for file in counted_files(table, head) for path in file.deletes}
    return paths - used
