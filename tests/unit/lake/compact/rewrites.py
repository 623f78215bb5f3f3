"""Bins made the plainest way: all rows of some live files in one new file of pyiceberg's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, Table
from pyiceberg.table.snapshots import Snapshot

from app.domain.live_files import LiveFile
from app.lake.compact.commit import Base, RewrittenBin, base_of
from app.lake.data_files import stream_data_file
from app.lake.file_schemas import to_arrow_schema
from app.lake.row_diff.manifests import Tasks, live_files
from app.lake.table import LakeTable
from tests.unit.lake.local_tables import NAME, as_lake_table, read


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A table as a compaction saw it when it began."""

    table: LakeTable
    head: Snapshot
    files: Tasks

    @property
    def base(self) -> Base:
        return base_of(self.table, self.head, self.files)

    def bin(self, chosen: Callable[[FileScanTask], bool] = lambda _: True) -> RewrittenBin:
        """All rows of these files in one file."""
        removed = {file: task for file, task in self.files.items() if chosen(task)}
        return RewrittenBin(removed=removed, added=tuple(merged(self.table, removed.values())))

    def bins(self) -> list[RewrittenBin]:
        """Each file as a bin of its own."""
        return [self.bin(lambda task, path=path: task.file.file_path == path) for path in sorted(self.paths)]

    @property
    def paths(self) -> set[str]:
        return {file.path for file in self.files}


def look(catalog: Catalog) -> Seen:
    return look_at(as_lake_table(catalog.load_table(str(NAME))))


def look_at(table: LakeTable) -> Seen:
    head = table.metadata.snapshot_by_name("main")
    assert head is not None
    return Seen(table=table, head=head, files=live_files(table, head))


def rows_of(table: Table, snapshot_id: int | None = None) -> list[tuple[object, ...]]:
    """All rows, in order."""
    return sorted(tuple(row.values()) for row in read(table, snapshot_id=snapshot_id).rows)


def live(catalog: Catalog) -> set[LiveFile]:
    return set(look(catalog).files)


def merged(table: LakeTable, tasks: Collection[FileScanTask]) -> Iterable[DataFile]:
    """All live rows of these files in new ones, of the same spec."""
    schema = table.metadata.schema()
    batches = [
        batch
        for task in tasks
        for batch in stream_data_file(
            table.io,
            task,
            bound_filter=AlwaysTrue(),
            projected=schema,
            read=schema,
            metadata=table.metadata,
        )
    ]
    rows = pa.Table.from_batches(batches, to_arrow_schema(schema))
    (spec_id,) = {task.file.spec_id for task in tasks}
    metadata = table.metadata.model_copy(update={"default_spec_id": spec_id})
    return _dataframe_to_data_files(metadata, rows, table.handle.io)
