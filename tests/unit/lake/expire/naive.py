"""What a table reaches and what is on the disk, found the plain way: the judge of the tests of expiry."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from pyiceberg.table import Table

Rows = list[tuple[object, ...]]


def local(path: str) -> Path:
    return Path(urlsplit(path).path)


def reached(table: Table, without: Collection[int] = ()) -> set[Path]:
    """All files of the snapshots that the table has, but for some, and of its statistics."""
    found: set[Path] = set()
    for snapshot in table.metadata.snapshots:
        if snapshot.snapshot_id in without:
            continue
        found.add(local(snapshot.manifest_list))
        for manifest in snapshot.manifests(table.io):
            found.add(local(manifest.manifest_path))
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            found |= {local(entry.data_file.file_path) for entry in entries}
    for statistics in (*table.metadata.statistics, *table.metadata.partition_statistics):
        if statistics.snapshot_id not in without:
            found.add(local(statistics.statistics_path))
    return found


def on_disk(table: Table) -> set[Path]:
    """All files under the table's location, but for its metadata files, which commits only add to."""
    return {
        path
        for path in local(table.location()).rglob("*")
        if path.is_file() and not path.name.endswith(".metadata.json")
    }


def du(paths: Collection[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def rows_of(table: Table, snapshot_id: int) -> Rows:
    """The rows of a snapshot, each of its data files opened."""
    found = table.scan(snapshot_id=snapshot_id).to_arrow()
    return sorted((tuple(row.values()) for row in found.to_pylist()), key=repr)
