"""Merging files that anybody wrote: as tasks of a table, without a commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import FileScanTask
from pyiceberg.typedef import Record


def task_of(path: Path, nans: Mapping[int, int] | None = None) -> FileScanTask:
    """A file of a table without partitions, of which a manifest says how many rows it has, and perhaps how many NaN."""
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path.as_uri(),
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=pq.read_metadata(path).num_rows,
        file_size_in_bytes=path.stat().st_size,
        nan_value_counts=None if nans is None else dict(nans),
    )
    file.spec_id = 0
    return FileScanTask(file)


def tasks_for(paths: Sequence[Path]) -> list[FileScanTask]:
    return [task_of(path) for path in paths]
