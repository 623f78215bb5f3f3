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
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.manifest import DataFile, ManifestContent, ManifestFile
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertCurrentSchemaId,
    AssertRefSnapshotId,
    AssertTableUUID,
    SetSnapshotRefUpdate,
)

from app.domain.live_files import LiveFile
from app.errors import MissingFileError
from app.lake.catalog import reading_files
from app.lake.commits import (
    NOTHING_CHANGED,
    CommitOutcomeUnknownError,
    CommitRefusedError,
    check_writable,
    commit_changes,
)
from app.lake.compact.refusals import find_again, has_come
from app.lake.compact.snapshot_files import SnapshotFiles
from app.lake.internals import CachingSqlCatalog, delete_superseded_metadata
from app.lake.manifest_files import Remembered, list_manifests
from app.lake.metadata_cache import MetadataCache
from app.lake.row_diff.manifests import Tasks, live_files
from app.lake.snapshot_summaries import summarise
from app.lake.table import LakeTable

Answer = TypeVar("Answer")

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
    """The snapshot that bins were read in, and on how many of its live files each of its delete files applied.

    `schema_id` is the schema that their rows were written in, the table's own then: columns that it lacks they have
    lost, so that they are good for no other one.
    """

    table_uuid: str
    snapshot_id: int
    sequence_number: int
    schema_id: int
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
        schema_id=table.metadata.current_schema_id,
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
    Costs reading the manifests of the head, in a second attempt once more, and in later ones those that are new; and
    writing those anew that name removed files and others: one tells of all that name removed files alone. Memory, from
    the second attempt on: the entries of the head.
    No data file is removed: not those of `overtaken` bins either, which are the caller's.

    Raises:
        CommitRefusedError: others were always faster; nothing was changed, nothing is left of the attempts.
        CommitOutcomeUnknownError: the snapshot may come to be, and what it names must not be removed.
        DatasetForbiddenError, MetadataNotWrittenError: nothing was changed, nothing is left of the attempt.
        NoSuchTableError: the table is gone, or another one has its name.
        MissingFileError, UnreadableTableError: a manifest is missing or broken.
        UnsupportedTableError: the head has rows deleted by value, a version that cannot be written, or a catalog that
            takes no such change; nothing is left of the attempt.
        InvalidTablePropertyError: manifests are to be compressed in a way that there is not.
    """
    remembered: Remembered | None = None

    def attempt(table: LakeTable) -> BinsCommit:
        nonlocal remembered
        try:
            return _attempt(catalog, load, table, base, bins, cache, properties, branch, remembered)
        finally:
            # Who reads hundreds of manifests anew each time is overtaken each time; who need not holds none of them.
            remembered = {} if remembered is None else remembered

    return in_attempts(catalog, load, base.table_uuid, attempt)


def in_attempts(
    catalog: Catalog, load: Callable[[], LakeTable], table_uuid: str, attempt: Callable[[LakeTable], Answer]
) -> Answer:
    """What an attempt at the table as it is then comes to, after a dozen that others overtook.

    Raises: as the attempt, and as `commit_bins`.
    """
    number = 0
    while True:
        table = load()
        if str(table.state.table_uuid) != table_uuid:
            raise NoSuchTableError(f"{table.state.name} is another table than the one that was rewritten")
        check_writable(catalog, table)
        try:
            return attempt(table)
        except (CommitRefusedError, MissingFileError) as error:
            if isinstance(error, MissingFileError) and load().state.metadata_location == table.state.metadata_location:
                # Else an expiry may have deleted it since the table was loaded.
                raise
            number += 1
            if number == ATTEMPTS:
                raise
            # Full jitter: several that lost to one another do not meet again.
            longest_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (number - 1))
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
    remembered: Remembered | None,
) -> BinsCommit:
    head = table.metadata.snapshot_by_name(branch)
    if head is None or table.metadata.current_schema_id != base.schema_id:
        return BinsCommit(table=table, snapshot_id=None, committed=(), overtaken=tuple(bins))
    applied = base.applied
    good, overtaken = list(bins), []
    if head.snapshot_id != base.snapshot_id:
        with reading_files(table.state.name):
            live = live_files(table, head, remembered)
        applied = Counter(path for file in live for path in file.deletes)
        # A file that was added once more meanwhile has its rows twice, and removing it would take both.
        times = Counter(file.path for file in live)
        good = [some for some in bins if all(file in live and times[file.path] == 1 for file in some.removed)]
        kept = set(map(id, good))
        overtaken = [some for some in bins if id(some) not in kept]
    if not good:
        return BinsCommit(table=table, snapshot_id=None, committed=(), overtaken=tuple(overtaken))
    removed = [file for some in good for file in some.removed]
    dropped = _dangling(removed, applied)
    content = _Content(
        added=_by_spec(good), sequence_number=base.sequence_number, removed={f.path for f in removed}, dropped=dropped
    )
    committed, snapshot_id = _commit_content(catalog, load, table, branch, head, content, cache, properties, remembered)
    return BinsCommit(
        table=committed,
        snapshot_id=snapshot_id,
        committed=tuple(good),
        overtaken=tuple(overtaken),
        dropped_deletes=tuple(sorted(dropped)),
    )


def drop_deletes(
    catalog: Catalog,
    load: Callable[[], LakeTable],
    table: LakeTable,
    cache: MetadataCache,
    dropped: Collection[str],
    *,
    properties: Mapping[str, str],
    branch: str = MAIN_BRANCH,
) -> int:
    """Commit a snapshot without delete files that are about no live file of the head, none of which it may be lacking.

    Costs writing the manifests anew that name one. Answers the snapshot's id.

    Raises: as `commit_bins`, of which it is one attempt.
    """
    head = table.metadata.snapshot_by_name(branch)
    if head is None:
        raise ValueError(f"{table.state.name} has no snapshot to start from")
    content = _Content(added={}, sequence_number=0, removed=frozenset(), dropped=dropped)
    return _commit_content(catalog, load, table, branch, head, content, cache, properties)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """What a snapshot has that its parent has not, by spec, and which files of it by their paths it has not."""

    added: Mapping[int, Sequence[DataFile]]
    sequence_number: int
    removed: Collection[str]
    dropped: Collection[str]


def _by_spec(bins: Iterable[RewrittenBin]) -> dict[int, list[DataFile]]:
    added: dict[int, list[DataFile]] = defaultdict(list)
    for some in bins:
        # Of none, where all rows were deleted, there is no manifest.
        if some.added:
            added[some.spec_id] += some.added
    return added


def _commit_content(
    catalog: Catalog,
    load: Callable[[], LakeTable],
    table: LakeTable,
    branch: str,
    head: Snapshot,
    content: _Content,
    cache: MetadataCache,
    properties: Mapping[str, str],
    remembered: Remembered | None = None,
) -> tuple[LakeTable, int]:
    files = SnapshotFiles(table, table.metadata.new_snapshot_id(), head)
    try:
        snapshot = _write(table, files, head, content, properties, remembered)
    except BaseException:
        files.discard()
        raise
    written = {*files.written, *(file.file_path for some in content.added.values() for file in some)}
    try:
        committed = _commit(catalog, table, branch, head, snapshot, cache)
    except CommitRefusedError as refusal:
        # A gateway that sends a request twice gets a refusal for the second, of what the first has done: the files
        # that were written are the table's then. A database answers for the very statement that it was sent.
        found = None if isinstance(catalog, CachingSqlCatalog) else find_again(load, table, files.snapshot_id, refusal)
        if found is None or not has_come(found, table, head, files.snapshot_id, written, refusal):
            files.discard()
            raise
        committed = found
    except NOTHING_CHANGED:
        files.discard()
        raise
    except Exception as error:
        # Whatever it was, the catalog may have said yes before.
        found = find_again(load, table, files.snapshot_id, error)
        if found.metadata.snapshot_by_id(files.snapshot_id) is None:
            raise CommitOutcomeUnknownError(f"snapshot {files.snapshot_id}: {error}") from error
        committed = found
    return committed, files.snapshot_id


def _write(
    table: LakeTable,
    files: SnapshotFiles,
    head: Snapshot,
    content: _Content,
    properties: Mapping[str, str],
    remembered: Remembered | None,
) -> Snapshot:
    """The snapshot with this content on top of the head."""
    gone = {ManifestContent.DATA: content.removed, ManifestContent.DELETES: content.dropped}
    manifests = [files.add(some, spec_id, content.sequence_number) for spec_id, some in sorted(content.added.items())]
    taken_out: list[DataFile] = []
    with reading_files(table.state.name):
        for manifest in filter(_has_live_files, list_manifests(table.io, head, remembered, keeps_encoded=True)):
            left, files_out = files.without(manifest, gone[manifest.content])
            manifests += [] if left is None else [left]
            taken_out += files_out
    manifests += files.emptied()
    missing = {*content.removed, *content.dropped}.difference(file.file_path for file in taken_out)
    if missing:
        raise RuntimeError(f"{table.state.name}: {sorted(missing)[:3]} are live and in no manifest")
    summary = summarise(
        Operation.REPLACE,
        head,
        added=[data_file for some in content.added.values() for data_file in some],
        removed=taken_out,
        properties=properties,
    )
    return Snapshot(
        snapshot_id=files.snapshot_id,
        parent_snapshot_id=head.snapshot_id,
        sequence_number=table.metadata.next_sequence_number(),
        manifest_list=files.list_of(manifests),
        summary=summary,
        schema_id=table.metadata.current_schema_id,
    )


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
        AssertCurrentSchemaId(current_schema_id=table.metadata.current_schema_id),
    )
    committed = commit_changes(catalog, table, requirements, updates, cache)
    delete_superseded_metadata(table.io, table.metadata, committed.metadata)
    return committed
