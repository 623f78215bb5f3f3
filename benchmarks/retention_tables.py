"""Tables whose every snapshot is whole, made within seconds: small real data files, manifests and manifest lists.

Each snapshot adds one data file in a manifest of its own and lets go of the oldest of so many that are live, as a table
does that is loaded every hour and keeps a few days.
"""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.schema import Schema
from pyiceberg.serializers import ToOutputFile
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import SnapshotRef
from pyiceberg.table.snapshots import Operation, Snapshot, SnapshotLogEntry, Summary
from pyiceberg.typedef import Record
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

from benchmarks.lakes import snapshot_id

HOUR_MS = 3_600_000
FILES_PER_SNAPSHOT = 3
SCHEMA = Schema(
    NestedField(1, "id", LongType()), NestedField(2, "name", StringType()), NestedField(3, "price", DoubleType())
)
_ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A history of so many snapshots, an hour apart, the last of them half an hour old; tags are spread over it."""

    snapshots: int
    tags: int
    live_files: int


def create_table(catalog: SqlCatalog, name: str, shape: Shape, now_ms: int) -> Table:
    """Make a table of this shape; its files are three for each snapshot, and two metadata files."""
    table = catalog.create_table(name, SCHEMA)
    location = write_metadata(table.io, _fill(table, shape, now_ms))
    catalog.drop_table(name)
    return catalog.register_table(name, location)


def write_metadata(io: FileIO, metadata: TableMetadata) -> str:
    """Write a metadata file, and answer where."""
    location = f"{metadata.location}/metadata/{len(metadata.snapshots):05}-{uuid.uuid4()}.metadata.json"
    ToOutputFile.table_metadata(metadata, io.new_output(location))
    return location


def files_of(location: str) -> set[Path]:
    """What is under a table's location on this machine's disk, but for its metadata files and Hadoop's checksums."""
    found = Path(urlsplit(location).path).rglob("*")
    return {path for path in found if path.is_file() and ".metadata.json" not in path.name}


def _fill(table: Table, shape: Shape, now_ms: int) -> TableMetadata:
    body, file = _data_file(table)
    live: deque[ManifestFile] = deque(maxlen=shape.live_files)
    made = []
    for number in range(shape.snapshots):
        live.append(_manifest(table, number, body, file))
        made.append(_snapshot(table, number, live, now_ms - (shape.snapshots - number) * HOUR_MS + HOUR_MS // 2))
    head = made[-1]
    refs = {"main": _ref("branch", head)}
    for number in range(shape.tags):
        refs[f"release_{number:04}"] = _ref("tag", made[number * (len(made) - 1) // max(1, shape.tags - 1)])
    return table.metadata.model_copy(
        update={
            "last_updated_ms": now_ms,
            "metadata_log": [],
            "last_sequence_number": head.sequence_number,
            "current_snapshot_id": head.snapshot_id,
            "snapshots": made,
            "refs": refs,
            "snapshot_log": [
                SnapshotLogEntry(snapshot_id=each.snapshot_id, timestamp_ms=each.timestamp_ms) for each in made
            ],
        }
    )


def _data_file(table: Table) -> tuple[bytes, DataFile]:
    """The bytes of the one data file that all are, and what a manifest says of it."""
    rows = pa.table({"id": range(_ROWS), "name": [f"row {number}" for number in range(_ROWS)], "price": [0.5] * _ROWS})
    table.append(rows.cast(schema_to_pyarrow(SCHEMA, include_field_ids=False)))
    (task,) = table.refresh().scan().plan_files()
    with table.io.new_input(task.file.file_path).open() as stream:
        body = stream.read()
    # What came with it is nobody's: it must be neither told nor left.
    (real,) = table.metadata.snapshots
    for path in (task.file.file_path, real.manifest_list, *(one.manifest_path for one in real.manifests(table.io))):
        table.io.delete(path)
    return body, task.file


def _manifest(table: Table, number: int, body: bytes, file: DataFile) -> ManifestFile:
    path = f"{table.location()}/data/{number:06}-{uuid.uuid4()}.parquet"
    with table.io.new_output(path).create() as stream:
        stream.write(body)
    added = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=_ROWS,
        file_size_in_bytes=len(body),
        column_sizes=file.column_sizes,
        value_counts=file.value_counts,
        null_value_counts=file.null_value_counts,
        lower_bounds=file.lower_bounds,
        upper_bounds=file.upper_bounds,
    )
    added.spec_id = table.spec().spec_id
    output = table.io.new_output(f"{table.location()}/metadata/{uuid.uuid4()}-m0.avro")
    entry = ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=snapshot_id(number), data_file=added)
    with write_manifest(2, table.spec(), SCHEMA, output, snapshot_id(number), "deflate") as writer:
        writer.add(entry)
    manifest = writer.to_manifest_file()
    # What the manifest list of its own snapshot would set.
    manifest.sequence_number = manifest.min_sequence_number = number + 1
    return manifest


def _snapshot(table: Table, number: int, live: deque[ManifestFile], timestamp_ms: int) -> Snapshot:
    path = f"{table.location()}/metadata/snap-{snapshot_id(number)}-0-{uuid.uuid4()}.avro"
    parent = snapshot_id(number - 1) if number else None
    with write_manifest_list(
        2, table.io.new_output(path), snapshot_id(number), parent, number + 1, "deflate"
    ) as writer:
        writer.add_manifests(list(live))
    return Snapshot(
        snapshot_id=snapshot_id(number),
        parent_snapshot_id=parent,
        sequence_number=number + 1,
        timestamp_ms=timestamp_ms,
        manifest_list=path,
        summary=Summary(
            Operation.OVERWRITE,
            **{"added-data-files": "1", "added-records": str(_ROWS), "total-data-files": str(len(live))},
        ),
        schema_id=0,
    )


def _ref(kind: str, snapshot: Snapshot) -> SnapshotRef:
    return SnapshotRef.model_validate({"type": kind, "snapshot-id": snapshot.snapshot_id})
