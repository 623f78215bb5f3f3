"""Snapshots of any kind for tests: any files out and in, and rows deleted, in one commit of pyiceberg's own producer.

pyiceberg 0.12 alone makes no `replace` snapshots and no position deletes, and its writer turns some nulls into empty
lists. The Parquet files here are Arrow's, with pyiceberg's statistics.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.conversions import to_bytes
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import (
    _determine_partitions,
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestContent, ManifestEntry, ManifestFile
from pyiceberg.manifest import ManifestEntryStatus as Status
from pyiceberg.table import Table, Transaction
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update.snapshot import _OverwriteFiles
from pyiceberg.typedef import Record
from pyiceberg.types import LongType, StringType

from app.lake.delete_manifests import DeleteManifestWriter

PATH_FIELD_ID, POS_FIELD_ID = 2147483546, 2147483545
DELETES_SCHEMA = pa.schema(
    [
        pa.field("file_path", pa.string(), nullable=False, metadata={"PARQUET:field_id": str(PATH_FIELD_ID)}),
        pa.field("pos", pa.int64(), nullable=False, metadata={"PARQUET:field_id": str(POS_FIELD_ID)}),
    ]
)


def write_data_files(
    table: Table,
    rows: pa.Table,
    *,
    row_group_rows: int = 1000,
    with_statistics: bool = True,
    partition: Record | None = None,
) -> list[tuple[DataFile, pa.Table]]:
    """Data files of these rows, one a partition, each with the rows in it; `rows` are in the table's Arrow schema.

    With `partition` all of them are in that one: pyiceberg 0.12 finds no rows of NaN.
    """
    spec = table.spec()
    if partition is not None:
        return [(_write_data_file(table, rows, partition, row_group_rows, with_statistics), rows)]
    if spec.is_unpartitioned():
        return [(_write_data_file(table, rows, Record(), row_group_rows, with_statistics), rows)]
    return [
        (_write_data_file(table, part, key.partition, row_group_rows, with_statistics), part)
        for found in _determine_partitions(spec, table.schema(), rows)
        for key, part in [(found.partition_key, found.arrow_table_partition)]
    ]


def write_position_deletes(table: Table, positions: Mapping[str, Sequence[int]], like: DataFile) -> DataFile:
    """One delete file about several data files of the partition that `like` is in."""
    rows = [(path, position) for path, some in sorted(positions.items()) for position in some]
    path = f"{table.location()}/data/{uuid4()}-deletes.parquet"
    data = [pa.array([path for path, _ in rows], pa.string()), pa.array([pos for _, pos in rows], pa.int64())]
    with table.io.new_output(path).create() as stream:
        pq.write_table(pa.table(data, schema=DELETES_SCHEMA), stream)
    bounds = [{PATH_FIELD_ID: to_bytes(StringType(), end(positions))} for end in (min, max)]
    numbers = [{POS_FIELD_ID: to_bytes(LongType(), end(pos for _, pos in rows))} for end in (min, max)]
    file = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=like.partition,
        record_count=len(rows),
        file_size_in_bytes=len(table.io.new_input(path)),
        lower_bounds=bounds[0] | numbers[0],
        upper_bounds=bounds[1] | numbers[1],
    )
    file.spec_id = like.spec_id
    return file


def name_equality_deletes(table: Table, spec_id: int, partition: Record) -> DataFile:
    """A delete file of values of a partition, for what plans files and reads none: it is not written."""
    file = DataFile.from_args(
        content=DataFileContent.EQUALITY_DELETES,
        file_path=f"{table.location()}/data/{uuid4()}-equality-deletes.parquet",
        file_format=FileFormat.PARQUET,
        partition=partition,
        record_count=1,
        file_size_in_bytes=1,
        equality_ids=[1],
    )
    file.spec_id = spec_id
    return file


def commit_files(
    table: Table,
    operation: Operation,
    *,
    remove: Sequence[DataFile] = (),
    add: Sequence[DataFile] = (),
    deletes: Sequence[DataFile] = (),
    drop_deletes: bool = False,
    branch: str = MAIN_BRANCH,
) -> int:
    """Commit one snapshot; `drop_deletes` leaves out all delete files that were there before. Answers its id."""
    # Two snapshots of one millisecond would have no order in time.
    time.sleep(0.002)
    with table.transaction() as transaction:
        producer = _MadeSnapshot(transaction, operation, deletes, drop_deletes=drop_deletes, branch=branch)
        for file in remove:
            producer.delete_data_file(file)
        for file in add:
            producer.append_data_file(file)
        producer.commit()
    table.refresh()
    return table.metadata.refs[branch].snapshot_id


class _MadeSnapshot(_OverwriteFiles):
    def __init__(
        self,
        transaction: Transaction,
        operation: Operation,
        deletes: Sequence[DataFile],
        *,
        drop_deletes: bool,
        branch: str,
    ) -> None:
        super().__init__(Operation.OVERWRITE, transaction, transaction._table.io, branch=branch)
        self._named, self._deletes, self._drop_deletes = operation, deletes, drop_deletes

    def _summary(self, snapshot_properties: dict[str, str] | None = None) -> Summary:
        totals = super()._summary(snapshot_properties or {}).additional_properties
        return Summary(operation=self._named, **totals)

    def _build_delete_files_partition_predicate(self) -> None:
        # pyiceberg makes none of NaN; all manifests are looked through instead.
        for file in self._deleted_data_files:
            self.partition_filters[file.spec_id] = AlwaysTrue()

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        kept = [
            manifest for manifest in manifests if manifest.content is ManifestContent.DATA or not self._drop_deletes
        ]
        return [*self._delete_manifests(), *kept]

    def _delete_manifests(self) -> list[ManifestFile]:
        made = []
        for spec_id in sorted({file.spec_id for file in self._deletes}):
            target = (self.spec(spec_id), self.schema(), self.new_manifest_output(), self._snapshot_id)
            with DeleteManifestWriter(*target, "deflate") as writer:
                for file in self._deletes:
                    if file.spec_id == spec_id:
                        entry = ManifestEntry.from_args(
                            status=Status.ADDED, snapshot_id=self._snapshot_id, data_file=file
                        )
                        writer.add(entry)
            made.append(writer.to_manifest_file())
        return made


def _write_data_file(
    table: Table, rows: pa.Table, partition: Record, row_group_rows: int, with_statistics: bool
) -> DataFile:
    schema = table.schema()
    path = f"{table.location()}/data/{uuid4()}.parquet"
    with table.io.new_output(path).create() as stream:
        arrow = schema_to_pyarrow(schema)
        pq.write_table(rows.select(arrow.names).cast(arrow), stream, row_group_size=row_group_rows)
    metadata = pq.read_metadata(table.io.new_input(path).open())
    statistics = _statistics_of(table, metadata) if with_statistics else {}
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=partition,
        file_size_in_bytes=len(table.io.new_input(path)),
        **{"record_count": metadata.num_rows, **statistics},
    )
    file.spec_id = table.spec().spec_id
    return file


def _statistics_of(table: Table, metadata: pq.FileMetaData) -> dict[str, Any]:
    schema = table.schema()
    try:
        found = data_file_statistics_from_parquet_metadata(
            metadata,
            compute_statistics_plan(schema, table.metadata.properties),
            parquet_path_to_id_mapping(schema),
        )
        return found.to_serialized_dict()
    except (OverflowError, ValueError):  # Python has no dates before the year 1 and after 9999
        return {}
