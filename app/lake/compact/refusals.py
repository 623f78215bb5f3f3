"""What a commit came to of which an error came back: the catalog may have said yes before, to somebody in between."""

from __future__ import annotations

from collections.abc import Callable, Collection

from pyiceberg.table.snapshots import Snapshot

from app.lake.catalog import first_line
from app.lake.commits import CommitOutcomeUnknownError
from app.lake.manifest_files import list_manifests
from app.lake.table import LakeTable


def find_again(load: Callable[[], LakeTable], table: LakeTable, snapshot_id: int, error: Exception) -> LakeTable:
    """The same table as it is now, after a commit of which an error came back.

    Raises:
        CommitOutcomeUnknownError: it cannot be told. It may also have got another name since it was committed to.
    """
    try:
        found = load()
    except Exception as again:
        raise CommitOutcomeUnknownError(
            f"snapshot {snapshot_id}: {error}; nor can the table be loaded: {first_line(again)}"
        ) from again
    if found.state.table_uuid != table.state.table_uuid:
        raise CommitOutcomeUnknownError(f"snapshot {snapshot_id}: {error}; and another table has its name")
    return found


def has_come(
    found: LakeTable,
    base: LakeTable,
    head: Snapshot,
    snapshot_id: int,
    written: Collection[str],
    error: Exception,
) -> bool:
    """Whether a refused snapshot came to be all the same, or did and has expired since.

    Others may have gone on from it. Then their snapshots name what was `written` for it: manifests, or data files if
    somebody has brought manifests together since. Costs reading the manifests that
    are new since the base, which the next attempt would read too.

    Raises:
        CommitOutcomeUnknownError: one of them cannot be read.
    """
    if found.metadata.snapshot_by_id(snapshot_id) is not None:
        return True
    before = {snapshot.snapshot_id for snapshot in base.metadata.snapshots}
    try:
        looked_at = {manifest.manifest_path for manifest in list_manifests(base.io, head)}
        for snapshot in found.metadata.snapshots:
            if snapshot.snapshot_id in before:
                continue
            for manifest in list_manifests(found.io, snapshot):
                if manifest.manifest_path in looked_at:
                    continue
                looked_at.add(manifest.manifest_path)
                if manifest.manifest_path in written:
                    return True
                entries = manifest.fetch_manifest_entry(found.io, discard_deleted=False)
                if any(entry.data_file.file_path in written for entry in entries):
                    return True
    except Exception as again:
        raise CommitOutcomeUnknownError(
            f"snapshot {snapshot_id}: {error}; nor can it be told whether it came to be: {first_line(again)}"
        ) from again
    return False
