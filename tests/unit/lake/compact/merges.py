"""Merging files that anybody wrote: as tasks of a table, without a commit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import FileScanTask
from pyiceberg.typedef import Record


def task_of(path: Path, rows: int | None = None) -> FileScanTask:
    """A file of a table without partitions, of which a manifest says how many rows it has: all, or so many."""
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path.as_uri(),
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=pq.read_metadata(path).num_rows if rows is None else rows,
        file_size_in_bytes=path.stat().st_size,
    )
    file.spec_id = 0
    return FileScanTask(file)


def tasks_for(paths: Sequence[Path]) -> list[FileScanTask]:
    return [task_of(path) for path in paths]
