"""Joining data files of an Iceberg table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema

from app.lake.compact.copying.errors import BrokenParquetError
from app.lake.compact.copying.footers import Footer
from app.lake.compact.copying.joining import JoinedFile, join_files
from app.lake.compact.copying.pieces import IsStopped
from app.lake.compact.metrics import Metrics, merge_metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedDataFile:
    """A new data file, with what a manifest says of it."""

    file: JoinedFile
    metrics: Metrics


def join_data_files(
    io: FileIO,
    files: Sequence[DataFile],
    footers: Sequence[Footer],
    destination: str,
    *,
    schemas: Sequence[Schema],
    is_stopped: IsStopped,
) -> JoinedDataFile:
    """Make one data file of several, each with its footer; `schemas` are the table's, the current one last.

    The new file is in no sort order that Iceberg knows of.

    Raises:
        ValueError, AbsentFileError, OSError, BackendUnavailableError, JoinStoppedError: see `join_files`. OSError also
            where a manifest and a footer contradict each other.
    """
    for file, footer in zip(files, footers, strict=True):
        if file.record_count != footer.rows:
            reason = f"it has {footer.rows} rows, and its manifest says {file.record_count}"
            raise BrokenParquetError(file.file_path, reason)
    joined = join_files(io, footers, destination, is_stopped)
    return JoinedDataFile(file=joined, metrics=merge_metrics(files, schemas))
