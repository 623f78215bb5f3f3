"""Walking all files of a table, each manifest list and each manifest once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from pyiceberg.manifest import DataFileContent
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from app.domain.expiry import GOING, SHARED, FileKind, join_owners
from app.domain.file_keys import FileKeys
from app.lake.catalog import reading_files
from app.lake.deleted_positions import naming_file
from app.lake.expire.file_set import FileSet
from app.lake.expire.manifests import ListedManifest, LiveFiles, ManifestIndex, read_list, read_live_files
from app.lake.manifest_files import check_list
from app.lake.table import LakeTable
from app.lake.whole_files import WholeFiles

Item = TypeVar("Item")
Answer = TypeVar("Answer")

WORKERS = 8
# Read ahead of what is taken in, so that no more manifests than these are in memory.
_AHEAD = 2
# Table properties that say where a table's files are written (Iceberg's `TableProperties`).
PLACE_PROPERTIES = (
    "write.data.path",
    "write.metadata.path",
    "write.object-storage.path",
    "write.folder-storage.path",
)
_CONTENTS = {
    DataFileContent.DATA: FileKind.DATA,
    DataFileContent.POSITION_DELETES: FileKind.POSITION_DELETES,
    DataFileContent.EQUALITY_DELETES: FileKind.EQUALITY_DELETES,
}


def own_locations(table: LakeTable) -> list[str]:
    """Where a table writes: its location, and what its properties set instead."""
    properties = table.state.properties
    return [table.state.location, *(properties[name] for name in PLACE_PROPERTIES if properties.get(name))]


def keys_of(table: LakeTable) -> FileKeys:
    """How paths of this table are compared. Raises UnsupportedTableError."""
    return FileKeys(str(table.state.name), own_locations(table))


def walk_files(table: LakeTable, owners: Mapping[int, int], *, workers: int = WORKERS) -> FileSet:
    """All files of a table's snapshots and statistics, each with whose it is.

    `owners` are those of all its snapshots (`app.domain.expiry.assign_owners`). A file is live in a snapshot where a
    manifest of the snapshot has it and does not say that it was deleted.

    Costs reading every manifest list and every manifest once, `workers` at a time, in S3 a request each; nothing else
    is asked of the store.
    Manifests of what stays are read first, so that of those that only snapshots have which are going no path is kept
    that is reached anyway. Memory: as `FileSet`, and the manifests that are read at the moment.

    Raises:
        MissingFileError, UnreadableTableError: a manifest list or a manifest is missing or broken: what is reached is
            not known.
        UnsupportedTableError: a file is in a store that the table is not in.
    """
    files, keys = FileSet(), keys_of(table)
    with reading_files(table.state.name), _pool(workers) as pool:
        store = WholeFiles(table.io, table.state.location)
        manifests = _walk_lists(table, owners, store, files, keys, pool)
        _walk_manifests(store, manifests, files, keys, pool)
        _add_statistics(table.metadata, owners, files, keys)
    return files


def _walk_lists(
    table: LakeTable,
    owners: Mapping[int, int],
    store: WholeFiles,
    files: FileSet,
    keys: FileKeys,
    pool: ThreadPoolExecutor,
) -> list[tuple[int, ListedManifest]]:
    """The manifests with their owners, those that stay first."""
    lists, having = dict[str, int](), dict[str, Snapshot]()
    for snapshot in table.metadata.snapshots:
        path, owner = snapshot.manifest_list, owners.get(snapshot.snapshot_id, SHARED)
        lists[path] = join_owners(lists.get(path, owner), owner)
        having[path] = snapshot
    index, by_owner = ManifestIndex(), dict[int, set[int]]()
    paths = sorted(lists, key=lambda path: lists[path] == GOING)
    # Where the files are is looked at before any is asked for: a store that is not the table's may not even answer.
    digests = [keys.digest(path) for path in paths]
    read = _each(pool, lambda path: read_list(store, path), paths)
    for path, digest, found in zip(paths, digests, read, strict=True):
        with naming_file(path):
            check_list(having[path], found.count)
            by_owner.setdefault(lists[path], set()).update(index.add_list(found))
        files.add(digest, path, found.size_bytes, FileKind.MANIFEST_LIST, lists[path])
    joined: dict[int, int] = {}
    for owner, numbers in by_owner.items():
        for number in numbers:
            joined[number] = join_owners(joined.get(number, owner), owner)
    found_manifests = [(joined[manifest.number], manifest) for manifest in index.manifests]
    found_manifests.sort(key=lambda pair: pair[0] == GOING)
    return found_manifests


def _walk_manifests(
    store: WholeFiles,
    manifests: list[tuple[int, ListedManifest]],
    files: FileSet,
    keys: FileKeys,
    pool: ThreadPoolExecutor,
) -> None:
    for owner, manifest in manifests:
        files.add(keys.digest(manifest.path), manifest.path, manifest.size_bytes, FileKind.MANIFEST, owner)

    def read(pair: tuple[int, ListedManifest]) -> LiveFiles:
        return read_live_files(store, pair[1])

    for (owner, _), live in zip(manifests, _each(pool, read, manifests), strict=True):
        for path, size_bytes, content in zip(live.paths, live.sizes, live.contents, strict=True):
            files.add(keys.digest(path), path, size_bytes, _CONTENTS[DataFileContent(content)], owner)


def _add_statistics(metadata: TableMetadata, owners: Mapping[int, int], files: FileSet, keys: FileKeys) -> None:
    # Of a snapshot that the table has not, they stay in its metadata, and so do their files.
    for kind, found in (
        (FileKind.STATISTICS, metadata.statistics),
        (FileKind.PARTITION_STATISTICS, metadata.partition_statistics),
    ):
        for file in found:
            path, owner = file.statistics_path, owners.get(file.snapshot_id, SHARED)
            files.add(keys.digest(path), path, file.file_size_in_bytes, kind, owner)


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="expire-")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _each(pool: ThreadPoolExecutor, call: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[Answer]:
    """The answers in the items' order, only so many calls ahead of what was taken."""
    waiting: deque[Future[Answer]] = deque()
    for item in items:
        waiting.append(pool.submit(call, item))
        if len(waiting) > _AHEAD * WORKERS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
