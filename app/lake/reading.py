"""Reading rows of one version, file by file and batch by batch, so that memory does not grow with the table."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.expressions.visitors import (
    ResidualEvaluator,
    UnpartitionedResidualEvaluator,
    bind,
    extract_field_ids,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestContent, ManifestEntry, ManifestFile
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask, ManifestGroupPlanner
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.transforms import VoidTransform

from app.domain.versions import ResolvedVersion
from app.errors import InvalidArgumentError, UnsupportedTableError
from app.lake.catalog import reading_files
from app.lake.data_files import stream_data_file
from app.lake.file_schemas import to_arrow_schema
from app.lake.filters import parse_filter, project, top_level_columns
from app.lake.manifest_files import list_manifests
from app.lake.partitions import unify_nan
from app.lake.table import LakeTable
from app.lake.threads import LakeThreads
from app.telemetry.tracing import detached_span

# As errors tell the feature.
EQUALITY_DELETES = "equality deletes"
READABLE_FORMATS = frozenset({FileFormat.PARQUET, FileFormat.ORC})


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRequest:
    """Which rows: `columns` None means all, `limit` None means no limit."""

    columns: tuple[str, ...] | None = None
    row_filter: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InvalidArgumentError("limit", f"{self.limit} is not 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What is to be read: the files with their deletes, and how their rows are to look.

    `read` is what has to be read of them: `projected`, and the columns that the filter looks at.
    """

    table: LakeTable
    metadata: TableMetadata
    projected: Schema
    read: Schema
    bound_filter: BooleanExpression
    tasks: tuple[FileScanTask, ...]

    @property
    def arrow_schema(self) -> pa.Schema:
        """Schema of the answer."""
        return to_arrow_schema(self.projected)


def plan_scan(table: LakeTable, version: ResolvedVersion, request: RowRequest) -> Scan:
    """Find the files of a version that may hold rows asked for. Costs reading its manifests.

    The filter and the columns are those of the *version's* schema: a column that was renamed since is meant by its name
    of then.

    Raises:
        InvalidFilterError, UnknownColumnError: the request does not fit that schema.
        UnsupportedTableError: equality deletes, or a file format that cannot be read.
        MissingFileError, UnreadableTableError: a manifest is missing or broken.
    """
    dataset = str(table.state.name)
    metadata = _as_of_schema(table, version)
    schema = metadata.schema()
    row_filter = parse_filter(request.row_filter, schema)
    projected = project(request.columns, schema, dataset)
    snapshot = metadata.snapshot_by_id(version.snapshot_id)
    if snapshot is None:  # resolved against this very metadata
        raise LookupError(f"snapshot {version.snapshot_id} is not in the metadata it was resolved in")
    bound_filter = bind(schema, row_filter, case_sensitive=True)
    with reading_files(table.state.name):
        refuse_equality_deletes(table, snapshot)
        planner = FilePlanner(metadata, table.io, row_filter)
        tasks = tuple(planner.plan_files(list_manifests(table.io, snapshot)))
    for task in tasks:
        if task.file.file_format not in READABLE_FORMATS:
            kind = task.file.file_format.value
            raise UnsupportedTableError(dataset, f"{kind} data files", "only Parquet and ORC files can be read")
    return Scan(
        table=table,
        metadata=metadata,
        projected=projected,
        read=_with_columns(
            projected, request.columns, top_level_columns(schema, extract_field_ids(bound_filter)), schema
        ),
        bound_filter=bound_filter,
        tasks=tasks,
    )


class FilePlanner(ManifestGroupPlanner):
    """pyiceberg's, less what is left of the filter in each partition: unused here, and it fails on null partitions.

    NaN is one partition, as it is to Iceberg's own library: pyiceberg finds no deletes for files of it.
    """

    def plan_manifest_entries(self, manifests: Iterable[ManifestFile]) -> Iterator[list[ManifestEntry]]:
        """The entries of each manifest whose files may have rows that are asked for."""
        for entries in super().plan_manifest_entries(manifests):
            for entry in entries:
                unify_nan(entry.data_file.partition)
            yield entries

    def _build_partition_evaluator(self, spec_id: int) -> Callable[[DataFile], bool]:
        # Where there is no filter, asking visitors for each file takes a fifth of the time.
        if isinstance(self.row_filter, AlwaysTrue):
            return lambda _file: True
        return super()._build_partition_evaluator(spec_id)

    def _build_metrics_evaluator(self) -> Callable[[DataFile], bool]:
        if isinstance(self.row_filter, AlwaysTrue):
            return lambda file: bool(file.record_count != 0)
        return super()._build_metrics_evaluator()

    def _build_residual_evaluator(self, spec_id: int) -> Callable[[DataFile], ResidualEvaluator]:
        evaluator = UnpartitionedResidualEvaluator(self.table_metadata.schema(), self.row_filter)
        return lambda _file: evaluator


class DeletesPlanner(FilePlanner):
    """Plans with deletes by value among the delete files of each task; for what counts files, and reads no rows."""

    def plan_files(
        self,
        manifests: Iterable[ManifestFile],
        manifest_entry_filter: Callable[[ManifestEntry], bool] = lambda _: True,
    ) -> list[FileScanTask]:
        """The live data files, each with the delete files that may be about it by sequence number and partition."""
        by_value: list[ManifestEntry] = []
        of_data: list[ManifestEntry] = []

        def keep(entry: ManifestEntry) -> bool:
            if not manifest_entry_filter(entry):
                return False
            content = entry.data_file.content
            if content == DataFileContent.EQUALITY_DELETES:
                by_value.append(entry)
                return False
            if content == DataFileContent.DATA:
                of_data.append(entry)
            return True

        tasks = list(super().plan_files(manifests, keep))
        if not by_value:
            return tasks
        numbers: dict[str, int] = {}
        for entry in of_data:
            path, number = entry.data_file.file_path, entry.sequence_number or 0
            numbers[path] = min(number, numbers.get(path, number))
        return [
            FileScanTask(
                task.file,
                task.delete_files | {entry.data_file for entry in by_value if self._is_about(entry, task, numbers)},
                residual=task.residual,
            )
            for task in tasks
        ]

    def _is_about(self, entry: ManifestEntry, task: FileScanTask, numbers: Mapping[str, int]) -> bool:
        # Iceberg spec, "Scan Planning": of an unpartitioned spec they are about all files that are older.
        deletes, file = entry.data_file, task.file
        if (entry.sequence_number or 0) <= numbers[file.file_path]:
            return False
        # A spec whose fields were all taken away counts as one (as in Iceberg's own library).
        fields = self.table_metadata.specs()[deletes.spec_id].fields
        if all(isinstance(field.transform, VoidTransform) for field in fields):
            return True
        return bool(deletes.spec_id == file.spec_id and deletes.partition == file.partition)


class RowStream:
    """The rows of a scan as Arrow batches, for one reader; `async for` over it, then `aclose`.

    Each batch is made in a lake thread when it is asked for, so a slow reader holds one batch, not the table.
    `truncated` (whether `limit` cut rows off) and `bytes_read` are final once the iteration has ended. Bytes are those
    of the column chunks of the files opened, as their manifests tell, and of their delete files whole.
    """

    def __init__(self, scan: Scan, limit: int | None, threads: LakeThreads) -> None:
        self.schema: pa.Schema = scan.arrow_schema
        self.columns: tuple[str, ...] = tuple(field.name for field in scan.projected.fields)
        self.truncated = False
        self.bytes_read = 0
        self._scan = scan
        self._left = limit
        self._threads = threads
        self._batches = self._iterate()
        # Held in the threads: a call whose caller was cancelled goes on, and the next one has to wait for it.
        self._lock = threading.Lock()

    def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        batch = await self._threads.run(self._next)
        if batch is None:
            raise StopAsyncIteration
        return batch

    async def aclose(self) -> None:
        """Stop reading and close the open file; safe to call at any time, more than once."""
        # Shielded: also a caller that is cancelled leaves no file open.
        await asyncio.shield(self._threads.run_to_end(self._close))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def _next(self) -> pa.RecordBatch | None:
        with self._lock, reading_files(self._scan.table.state.name):
            return next(self._batches, None)

    def _close(self) -> None:
        with self._lock:
            self._batches.close()

    def _iterate(self) -> Generator[pa.RecordBatch, None, None]:
        scan = self._scan
        for task in scan.tasks:
            self.bytes_read += bytes_of(task, scan.read.field_ids)
            batches = stream_data_file(
                scan.table.io,
                task,
                bound_filter=scan.bound_filter,
                projected=scan.projected,
                read=scan.read,
                metadata=scan.metadata,
            )
            with detached_span("lake.read_file", dataset=str(scan.table.state.name)):
                yield from self._cut(batches)
            if self.truncated:
                return

    def _cut(self, batches: Iterator[pa.RecordBatch]) -> Generator[pa.RecordBatch, None, None]:
        for batch in batches:
            if self._left is None:
                yield batch
                continue
            if self._left == 0:
                self.truncated = True
                return
            taken = batch.slice(0, self._left)
            self._left -= taken.num_rows
            yield taken
            if taken.num_rows < batch.num_rows:
                self.truncated = True
                return


def _as_of_schema(table: LakeTable, version: ResolvedVersion) -> TableMetadata:
    schema = table.state.schema_of(version)
    return table.metadata.model_copy(update={"current_schema_id": schema.schema_id})


def _with_columns(projected: Schema, columns: Sequence[str] | None, more: Sequence[str], schema: Schema) -> Schema:
    """`projected`, which is `columns` of the schema, and these columns too; itself where it has them whole."""
    if columns is None or set(more) <= set(columns):
        return projected
    return schema.select(*columns, *more)


def refuse_equality_deletes(table: LakeTable, snapshot: Snapshot) -> None:
    """Raise UnsupportedTableError where rows of the snapshot are deleted by value."""
    if has_equality_deletes(table, snapshot):
        raise UnsupportedTableError(
            str(table.state.name),
            EQUALITY_DELETES,
            f"snapshot {snapshot.snapshot_id} has rows deleted by value, which this reader cannot apply; "
            "compact the table with the engine that wrote them, then read again",
        )


def has_equality_deletes(table: LakeTable, snapshot: Snapshot) -> bool:
    """Whether rows of the snapshot are deleted by value. Costs reading its manifests of deletes, where it has any."""
    # The summary's total is optional; only where it is missing, or not zero, do the delete manifests tell.
    summary = snapshot.summary.additional_properties if snapshot.summary else {}
    if summary.get("total-equality-deletes") == "0":
        return False
    return any(
        entry.data_file.content == DataFileContent.EQUALITY_DELETES
        for manifest in list_manifests(table.io, snapshot)
        if manifest.content == ManifestContent.DELETES
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    )


def bytes_of(task: FileScanTask, field_ids: set[int], *, with_deletes: bool = True) -> int:
    """Bytes that reading these columns of a file takes, as its manifest tells, its delete files whole."""
    sizes = task.file.column_sizes
    own = sum(size for field_id, size in sizes.items() if field_id in field_ids) if sizes else None
    deletes = sum(file.file_size_in_bytes for file in task.delete_files) if with_deletes else 0
    return (task.file.file_size_in_bytes if own is None else own) + deletes
