"""Snapshots that pyiceberg 0.12 cannot make: position deletes (merge-on-read) and `replace` (compaction).

Both are small on purpose: for tables of the sample, format v2, unpartitioned, while nobody else writes. What they write
follows the Iceberg specification (position delete files; manifests; `replace` keeps rows and data sequence numbers).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.avro.codecs import AvroCompressionCodec
from pyiceberg.conversions import to_bytes
from pyiceberg.io.pyarrow import write_file
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriter,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.table import FileScanTask, Table, WriteTask
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import (
    Operation,
    Snapshot,
)
from pyiceberg.table.update import AddSnapshotUpdate
from pyiceberg.typedef import Record
from pyiceberg.types import LongType, StringType

from app.lake.delete_manifests import DeleteManifestWriter
from app.lake.sample.steps import Marks, Step, commit_by_hand, point_branch
from app.lake.sample.tpch import TpchFiles
from app.lake.snapshot_summaries import summarise

# Reserved field ids of position delete files (specification, "Reserved Field IDs").
PATH_FIELD_ID, POS_FIELD_ID = 2147483546, 2147483545
MAX_COMPACTED_BYTES = 64 * 1024 * 1024
_CODEC: AvroCompressionCodec = "deflate"
_DELETES_SCHEMA = pa.schema(
    [
        pa.field("file_path", pa.string(), nullable=False, metadata={"PARQUET:field_id": str(PATH_FIELD_ID)}),
        pa.field("pos", pa.int64(), nullable=False, metadata={"PARQUET:field_id": str(POS_FIELD_ID)}),
    ]
)


def delete_by_position(name: str, columns: Sequence[str], condition: pc.Expression) -> Step:
    """Delete rows by merge-on-read: the data files stay, one delete file for each says which of its rows are gone.

    The condition may use `columns` only, which no step may have renamed. Reads these columns of every file.
    """

    def commit(table: Table, _files: TpchFiles, marks: Marks) -> None:
        if not table.spec().is_unpartitioned():
            raise ValueError(f"{'.'.join(table.name())}: position deletes are written to unpartitioned tables only")
        snapshot_id, write_uuid = table.metadata.new_snapshot_id(), uuid.uuid4()
        written = [
            _write_position_deletes(table, task, positions, f"00000-{number}-{write_uuid}-deletes.parquet")
            for number, task in enumerate(table.scan().plan_files())
            if len(positions := _matching_positions(table, task, columns, condition))
        ]
        output = table.io.new_output(table.location_provider().new_metadata_location(f"{write_uuid}-m0.avro"))
        with DeleteManifestWriter(table.spec(), table.schema(), output, snapshot_id, _CODEC) as writer:
            for file in written:
                writer.add(_entry(ManifestEntryStatus.ADDED, snapshot_id, None, file))
        kept = _live_manifests(table)
        _commit_snapshot(
            table, snapshot_id, Operation.DELETE, [writer.to_manifest_file(), *kept], marks, added=written, removed=()
        )

    return Step(name=name, commit=commit)


def compact(name: str) -> Step:
    """Rewrite small data files as one: a `replace` snapshot with the same rows, and so the same answers.

    For a table whose schema has not changed yet and that has no deletes: its files then need no projection.
    """

    def commit(table: Table, _files: TpchFiles, marks: Marks) -> None:
        head = table.metadata.snapshot_by_name(MAIN_BRANCH)
        if head is None or len(table.schemas()) != 1 or not table.spec().is_unpartitioned():
            raise ValueError(f"{'.'.join(table.name())}: only a table that never evolved is compacted here")
        snapshot_id, write_uuid = table.metadata.new_snapshot_id(), uuid.uuid4()
        entries = [
            entry
            for manifest in head.manifests(table.io)
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
        ]
        old = _smallest([entry.data_file for entry in entries])
        rows = pa.concat_tables(_open_parquet(table, file.file_path).read() for file in old)
        task = WriteTask(write_uuid=write_uuid, task_id=0, schema=table.schema(), record_batches=rows.to_batches())
        (merged,) = write_file(table.io, table.metadata, iter([task]))
        output = table.io.new_output(table.location_provider().new_metadata_location(f"{write_uuid}-m0.avro"))
        with write_manifest(2, table.spec(), table.schema(), output, snapshot_id, _CODEC) as writer:
            # The merged file takes the base's sequence number: a delete committed meanwhile still applies to it.
            writer.add_entry(_entry(ManifestEntryStatus.ADDED, snapshot_id, head.sequence_number, merged))
            _carry_over(writer, entries, replaced={file.file_path for file in old}, snapshot_id=snapshot_id)
        _commit_snapshot(
            table, snapshot_id, Operation.REPLACE, [writer.to_manifest_file()], marks, added=[merged], removed=old
        )

    return Step(name=name, commit=commit)


def _matching_positions(
    table: Table, task: FileScanTask, columns: Sequence[str], condition: pc.Expression
) -> pa.Int64Array:
    file, found, offset = _open_parquet(table, task.file.file_path), [], 0
    for batch in file.iter_batches(columns=list(columns)):
        numbered = pa.table(batch).append_column("_pos", pa.array(range(offset, offset + batch.num_rows), pa.int64()))
        found += numbered.filter(condition).column("_pos").chunks
        offset += batch.num_rows
    return pa.concat_arrays(found) if found else pa.array([], pa.int64())


def _write_position_deletes(table: Table, task: FileScanTask, positions: pa.Int64Array, name: str) -> DataFile:
    path = task.file.file_path
    rows = pa.table([pa.repeat(pa.scalar(path), len(positions)), positions], schema=_DELETES_SCHEMA)
    output = table.io.new_output(table.location_provider().new_data_location(name))
    with output.create() as stream:
        pq.write_table(rows, stream, compression="zstd")
    as_path, as_pos = to_bytes(StringType(), path), LongType()
    return DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=output.location,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=len(positions),
        file_size_in_bytes=len(output),
        value_counts={PATH_FIELD_ID: len(positions), POS_FIELD_ID: len(positions)},
        null_value_counts={PATH_FIELD_ID: 0, POS_FIELD_ID: 0},
        # Equal bounds of the path tell readers that only this data file is concerned.
        lower_bounds={PATH_FIELD_ID: as_path, POS_FIELD_ID: to_bytes(as_pos, positions[0].as_py())},
        upper_bounds={PATH_FIELD_ID: as_path, POS_FIELD_ID: to_bytes(as_pos, positions[-1].as_py())},
        spec_id=table.spec().spec_id,
    )


def _commit_snapshot(
    table: Table,
    snapshot_id: int,
    operation: Operation,
    manifests: list[ManifestFile],
    marks: Marks,
    *,
    added: Sequence[DataFile],
    removed: Sequence[DataFile],
) -> None:
    head = table.metadata.snapshot_by_name(MAIN_BRANCH)
    parent_id = head.snapshot_id if head else None
    sequence_number = table.metadata.next_sequence_number()
    location = table.location_provider().new_metadata_location(f"snap-{snapshot_id}-0-{uuid.uuid4()}.avro")
    output = table.io.new_output(location)
    with write_manifest_list(2, output, snapshot_id, parent_id, sequence_number, _CODEC) as writer:
        writer.add_manifests(manifests)
    snapshot = Snapshot(
        snapshot_id=snapshot_id,
        parent_snapshot_id=parent_id,
        sequence_number=sequence_number,
        manifest_list=location,
        summary=summarise(operation, head, added=added, removed=removed, properties=marks.summary),
        schema_id=table.metadata.current_schema_id,
    )
    updates = (AddSnapshotUpdate(snapshot=snapshot), point_branch(MAIN_BRANCH, snapshot_id))
    commit_by_hand(table, updates, (), marks)


def _live_manifests(table: Table) -> list[ManifestFile]:
    head = table.metadata.snapshot_by_name(MAIN_BRANCH)
    manifests = head.manifests(table.io) if head else []
    return [manifest for manifest in manifests if manifest.has_added_files() or manifest.has_existing_files()]


def _carry_over(
    writer: ManifestWriter, entries: Iterable[ManifestEntry], *, replaced: set[str], snapshot_id: int
) -> None:
    for entry in entries:
        if entry.data_file.file_path in replaced:
            writer.delete(entry)
        else:
            writer.existing(entry)


def _entry(status: ManifestEntryStatus, snapshot_id: int, sequence_number: int | None, file: DataFile) -> ManifestEntry:
    return ManifestEntry.from_args(
        status=status, snapshot_id=snapshot_id, sequence_number=sequence_number, data_file=file
    )


def _smallest(files: Iterable[DataFile]) -> list[DataFile]:
    chosen: list[DataFile] = []
    size_bytes = 0
    for file in sorted(files, key=lambda file: (file.file_size_in_bytes, file.file_path)):
        size_bytes += file.file_size_in_bytes
        if chosen and size_bytes > MAX_COMPACTED_BYTES:
            break
        chosen.append(file)
    return chosen


def _open_parquet(table: Table, path: str) -> pq.ParquetFile:
    return pq.ParquetFile(table.io.new_input(path).open())
