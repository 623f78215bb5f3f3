"""Rewriting files of tables of the tests, and reading what was written as the table is read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, Table
from pyiceberg.table.sorting import SortField

from app.domain.live_files import LiveFile
from app.lake.compact.rewriting.bins import rewrite_bin
from app.lake.compact.rewriting.terms import BinTerms
from app.lake.data_files import stream_data_file
from app.lake.row_diff.manifests import live_files
from tests.unit.lake.local_tables import as_lake_table

BIG = 100_000_000


def tasks_of(table: Table, paths: Sequence[str] | None = None, branch: str = "main") -> list[FileScanTask]:
    """How the live files of a branch are read, in the order of these paths; of all, in the order of theirs."""
    snapshot = table.metadata.snapshot_by_name(branch)
    assert snapshot is not None
    tasks: dict[LiveFile, FileScanTask] = dict(live_files(as_lake_table(table), snapshot))
    if paths is None:
        return [tasks[file] for file in sorted(tasks)]
    by_path = {file.path: task for file, task in tasks.items()}
    return [by_path[path] for path in paths]


def rewrite(
    table: Table, tasks: Sequence[FileScanTask] | None = None, *, root: Path | None = None, **options: Any
) -> tuple[DataFile, ...]:
    """New files of these rows, in one that is as large as need be unless options say otherwise."""
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        apart: dict[str, Any] = {"scratch": Path(scratch)}
        apart |= {name: options.pop(name) for name in ("on_rows", "scratch") if name in options}
        found = rewrite_bin(as_lake_table(table), tasks or tasks_of(table), terms(**options), **apart)
        assert list(Path(scratch).iterdir()) == []
        return found


def terms(**options: Any) -> BinTerms:
    """One file that is as large as need be, unless options say otherwise."""
    usual: dict[str, Any] = {
        "outputs": 1,
        "target_bytes": BIG,
        "memory_bytes": BIG,
        "threads": 2,
        "name": "test",
        "is_stopped": lambda: False,
    }
    return BinTerms(**{**usual, **options})


def read_files(table: Table, files: Sequence[DataFile]) -> Iterator[pa.RecordBatch]:
    """The rows of data files, in their order, as the table has them now."""
    schema = table.schema()
    for file in files:
        yield from stream_data_file(
            table.io,
            FileScanTask(file),
            bound_filter=AlwaysTrue(),
            projected=schema,
            read=schema,
            metadata=table.metadata,
        )


def rows_of_files(table: Table, files: Sequence[DataFile]) -> list[dict[str, Any]]:
    return [row for batch in read_files(table, files) for row in batch.to_pylist()]


def sort_by(table: Table, *fields: SortField) -> None:
    """Give the table this order, and no rows another one."""
    with table.update_sort_order() as update:
        for field in fields:
            name = table.schema().find_column_name(field.source_id)
            assert name is not None
            add = update.asc if field.direction.name == "ASC" else update.desc
            add(name, field.transform, field.null_order)
