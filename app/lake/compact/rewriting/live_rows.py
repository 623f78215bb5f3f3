"""The rows of a bin's files that are not deleted, in the schema that the table has now."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.table import FileScanTask

from app.errors import UnreadableTableError
from app.lake.catalog import reading_files
from app.lake.compact.rewriting.stopping import RewriteStoppedError
from app.lake.data_files import stream_data_file
from app.lake.deleted_rows import DeletedRows, read_deleted_rows
from app.lake.table import LakeTable


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighedRows:
    """Rows, and how many bytes of the files that they come from are theirs."""

    batch: pa.RecordBatch
    weight: float


class LiveRows:
    """The live rows of files, in the order of the files and of the rows in each; to be gone through once.

    `rows` and `weight` are what there are in all, by the manifests and the delete files, which are read at once.
    Memory: what reading one file takes (`app.lake.data_files`), and a bit for each row of the files with deletes, which
    go with their file; and before, while the delete files are read, what that takes (`app.lake.deleted_rows`).

    Raises:
        MissingFileError: a file is not there any more.
        UnreadableTableError: one is broken, or has not the rows that its manifest says.
        UnsupportedTableError: one was written with a later schema.
        RewriteStoppedError: `is_stopped` says so, before a batch.
    """

    def __init__(self, table: LakeTable, tasks: Sequence[FileScanTask], is_stopped: Callable[[], bool]) -> None:
        self._table = table
        self._tasks = tasks
        self._is_stopped = is_stopped
        with reading_files(table.state.name):
            self._deleted: list[DeletedRows | None] = read_deleted_rows(table.io, tasks)
        gone = [0 if deleted is None else deleted.count for deleted in self._deleted]
        self._live = [task.file.record_count - count for task, count in zip(tasks, gone, strict=True)]
        self.rows = sum(self._live)
        self.weight = sum(live * _weight_of_row(task) for live, task in zip(self._live, tasks, strict=True))

    def __iter__(self) -> Iterator[WeighedRows]:
        for place, (task, live) in enumerate(zip(self._tasks, self._live, strict=True)):
            found = 0
            deleted, self._deleted[place] = self._deleted[place], None
            with reading_files(self._table.state.name), closing(self._stream(task, deleted)) as batches:
                for batch in batches:
                    if self._is_stopped():
                        raise RewriteStoppedError
                    found += batch.num_rows
                    yield WeighedRows(batch=batch, weight=batch.num_rows * _weight_of_row(task))
            if found != live:
                raise UnreadableTableError(
                    str(self._table.state.name),
                    f"it has {found} live rows, and by its manifest and delete files {live}",
                    file=task.file.file_path,
                )

    def _stream(self, task: FileScanTask, deleted: DeletedRows | None) -> Generator[pa.RecordBatch, None, None]:
        schema = self._table.metadata.schema()
        yield from stream_data_file(
            self._table.io,
            task,
            bound_filter=AlwaysTrue(),
            projected=schema,
            read=schema,
            metadata=self._table.metadata,
            deleted=deleted,
        )


def _weight_of_row(task: FileScanTask) -> float:
    return float(task.file.file_size_in_bytes) / max(1, task.file.record_count)
