"""Committing rewritten files: a `replace` snapshot that other writers' commits neither get lost in nor undo.

What was rewritten was read in a base snapshot. Since then the table may have moved on: files were added, which is fine;
or a file that was rewritten was removed, or rows of it deleted, and then what was made of it is not to be committed.
This is decided by the live files of the head: a bin is good just when each file that it stands for is live there with
the very delete files that were applied. It takes no look at how the head came about, so that rollbacks and foreign
engines are no special cases.

New files have the data sequence number of the base (Iceberg spec, "Sequence Numbers"), so that rows which a later
commit deletes by value are deleted from them too.
"""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.manifest import DataFile, ManifestContent, ManifestFile
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.table.update import AddSnapshotUpdate, AssertRefSnapshotId, AssertTableUUID, SetSnapshotRefUpdate

from app.domain.live_files import LiveFile
from app.errors import MetadataNotWrittenError, MissingFileError
from app.lake.catalog import reading_files
from app.lake.commits import CommitOutcomeUnknownError, CommitRefusedError, check_writable, commit_changes
from app.lake.compact.snapshot_files import SnapshotFiles
from app.lake.internals import delete_superseded_metadata
from app.lake.metadata_cache import MetadataCache
from app.lake.row_diff.manifests import Tasks, live_files
from app.lake.snapshot_summaries import summarise
from app.lake.table import LakeTable

# pyiceberg waits a millisecond and gives up after four; appenders of a busy table commit every few.
ATTEMPTS = 12
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.05, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RewrittenBin:
    """Live files of the base snapshot, and new data files of the same spec and partition that have their rows."""

    removed: Tasks
    added: tuple[DataFile, ...]

    @property
    def spec_id(self) -> int:
        """The partition spec of all of them."""
        (spec_id,) = {task.file.spec_id for task in self.removed.values()}
        return int(spec_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The snapshot that bins were read in, and on how many of its live files each of its delete files applied."""

    table_uuid: str
    snapshot_id: int
    sequence_number: int
    applied: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class BinsCommit:
    """What became of bins: `committed` are in the snapshot, None if there are none; `overtaken` were changed meanwhile.

    `dropped_deletes` are the paths of delete files that apply to nothing any more, which the snapshot has not.
    """

    table: LakeTable
    snapshot_id: int | None
    committed: tuple[RewrittenBin, ...]
    overtaken: tuple[RewrittenBin, ...]
    dropped_deletes: tuple[str, ...] = ()


def base_of(table: LakeTable, snapshot: Snapshot, files: Tasks) -> Base:
    """What a later commit needs to know of the snapshot with these live files, all that it has."""
    return Base(
        table_uuid=str(table.state.table_uuid),
        snapshot_id=snapshot.snapshot_id,
        sequence_number=snapshot.sequence_number or 0,
        applied=Counter(path for file in files for path in file.deletes),
    )


def commit_bins(
    catalog: Catalog,
    load: Callable[[], LakeTable],
    base: Base,
    bins: Sequence[RewrittenBin],
    cache: MetadataCache,
    *,
    properties: Mapping[str, str],
    branch: str = MAIN_BRANCH,
) -> BinsCommit:
    """Commit those of the bins that are still good on the head of the branch, all in one snapshot.

    Loses a race a dozen times before it gives up, waiting longer each time. `properties` go into the summary.
    Costs reading the manifests of the head, where it is not the base, and writing those anew that name a removed file.
    No data file is removed: not those of `overtaken` bins either, which are the caller's.

    Raises:
        CommitRefusedError: others were always faster; nothing was changed, nothing is left of the attempts.
        CommitOutcomeUnknownError: the snapshot may come to be, and what it names must not be removed.
        MetadataNotWrittenError: nothing was changed, nothing is left of the attempt.
        NoSuchTableError: the table is gone, or another one has its name.
        MissingFileError, UnreadableTableError: a manifest is missing or broken.
        UnsupportedTableError: the head has rows deleted by value, or a version that cannot be written.
    """
    attempt = 0
    while True:
        table = load()
        if str(table.state.table_uuid) != base.table_uuid:
            raise NoSuchTableError(f"{table.state.name} is another table than the one that was rewritten")
        check_writable(catalog, table)
        try:
            return _attempt(catalog, load, table, base, bins, cache, properties, branch)
        except (CommitRefusedError, MissingFileError) as error:
            if isinstance(error, MissingFileError) and load().state.metadata_location == table.state.metadata_location:
                # Else an expiry may have deleted it since the table was loaded.
                raise
            attempt += 1
            if attempt == ATTEMPTS:
                raise
            # Full jitter: several that lost to one another do not meet again.
            longest_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (attempt - 1))
            time.sleep(random.uniform(0, longest_s))  # noqa: S311 - no secret


def _attempt(
    catalog: Catalog,
    load: Callable[[], LakeTable],
    table: LakeTable,
    base: Base,
    bins: Sequence[RewrittenBin],
    cache: MetadataCache,
    properties: Mapping[str, str],
    branch: str,
) -> BinsCommit:
    head = table.metadata.snapshot_by_name(branch)
    if head is None:
        return BinsCommit(table=table, snapshot_id=None, committed=(), overtaken=tuple(bins))
    applied = base.applied
    good, overtaken = list(bins), []
    if head.snapshot_id != base.snapshot_id:
        with reading_files(table.state.name):
            live = live_files(table, head)
        applied = Counter(path for file in live for path in file.deletes)
        # A file that was added once more meanwhile has its rows twice, and removing it would take both.
        times = Counter(file.path for file in live)
        good = [some for some in bins if all(file in live and times[file.path] == 1 for file in some.removed)]
        overtaken = [some for some in bins if some not in good]
    if not good:
        return BinsCommit(table=table, snapshot_id=None, committed=(), overtaken=tuple(overtaken))
    files = SnapshotFiles(table, table.metadata.new_snapshot_id())
    try:
        snapshot, dropped = _write(table, files, head, base, good, applied, properties)
    except BaseException:
        files.discard()
        raise
    try:
        committed = _commit(catalog, table, branch, head, snapshot, cache)
    except (CommitRefusedError, MetadataNotWrittenError):
        files.discard()
        raise
    except Exception as error:  # noqa: BLE001 - whatever it was, the catalog may have said yes before
        committed = _look_for(load, files.snapshot_id, error)
    return BinsCommit(
        table=committed,
        snapshot_id=files.snapshot_id,
        committed=tuple(good),
        overtaken=tuple(overtaken),
        dropped_deletes=tuple(sorted(dropped)),
    )


def _look_for(load: Callable[[], LakeTable], snapshot_id: int, error: Exception) -> LakeTable:
    """The table with the snapshot, after a commit of which only an error came back.

    Raises:
        CommitOutcomeUnknownError: it is not there yet, or it cannot be told.
    """
    try:
        found = load()
    except Exception as again:
        raise CommitOutcomeUnknownError(f"snapshot {snapshot_id}: {error}; nor can the table be loaded") from again
    if found.metadata.snapshot_by_id(snapshot_id) is None:
        raise CommitOutcomeUnknownError(f"snapshot {snapshot_id}: {error}") from error
    return found


def _write(
    table: LakeTable,
    files: SnapshotFiles,
    head: Snapshot,
    base: Base,
    bins: Iterable[RewrittenBin],
    applied: Mapping[str, int],
    properties: Mapping[str, str],
) -> tuple[Snapshot, set[str]]:
    """The snapshot with these bins on top of the head, and the delete files that it does without."""
    removed = [file for some in bins for file in some.removed]
    added: dict[int, list[DataFile]] = defaultdict(list)
    for some in bins:
        added[some.spec_id] += some.added
    dropped = _dangling(removed, applied)
    gone = {ManifestContent.DATA: {file.path for file in removed}, ManifestContent.DELETES: dropped}
    manifests = [files.add(some, spec_id, base.sequence_number) for spec_id, some in sorted(added.items())]
    taken_out: list[DataFile] = []
    with reading_files(table.state.name):
        for manifest in filter(_has_live_files, head.manifests(table.io)):
            left, files_out = (
                files.without(manifest, gone[manifest.content]) if gone[manifest.content] else (manifest, [])
            )
            manifests.append(left)
            taken_out += files_out
    missing = (gone[ManifestContent.DATA] | dropped).difference(file.file_path for file in taken_out)
    if missing:
        raise RuntimeError(f"{table.state.name}: {sorted(missing)[:3]} are live and in no manifest")
    summary = summarise(
        Operation.REPLACE,
        head,
        added=[data_file for some in added.values() for data_file in some],
        removed=taken_out,
        properties=properties,
    )
    snapshot = Snapshot(
        snapshot_id=files.snapshot_id,
        parent_snapshot_id=head.snapshot_id,
        sequence_number=table.metadata.next_sequence_number(),
        manifest_list=files.list_of(manifests, head.snapshot_id),
        summary=summary,
        schema_id=table.metadata.current_schema_id,
    )
    return snapshot, dropped


def _dangling(removed: Iterable[LiveFile], applied: Mapping[str, int]) -> set[str]:
    """Delete files that applied to removed files and to no other one. New files are not in them: they name paths."""
    left = Counter(applied)
    left.subtract(path for file in removed for path in file.deletes)
    touched = {path for file in removed for path in file.deletes}
    return {path for path in touched if left[path] == 0}


def _has_live_files(manifest: ManifestFile) -> bool:
    # A manifest without any only told what its own snapshot removed (Iceberg spec, "Snapshots").
    return bool(manifest.has_added_files() or manifest.has_existing_files())


def _commit(
    catalog: Catalog, table: LakeTable, branch: str, head: Snapshot, snapshot: Snapshot, cache: MetadataCache
) -> LakeTable:
    ref = table.metadata.refs[branch]
    updates = (
        AddSnapshotUpdate(snapshot=snapshot),
        # With the branch's retention settings, which setting it without them takes away.
        SetSnapshotRefUpdate(
            ref_name=branch,
            type=SnapshotRefType.BRANCH,
            snapshot_id=snapshot.snapshot_id,
            min_snapshots_to_keep=ref.min_snapshots_to_keep,
            max_snapshot_age_ms=ref.max_snapshot_age_ms,
            max_ref_age_ms=ref.max_ref_age_ms,
        ),
    )
    requirements = (
        AssertTableUUID(uuid=table.state.table_uuid),
        AssertRefSnapshotId(ref=branch, snapshot_id=head.snapshot_id),
    )
    committed = commit_changes(catalog, table, requirements, updates, cache)
    delete_superseded_metadata(table.io, table.metadata, committed.metadata)
    return committed
