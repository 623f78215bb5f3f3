"""One Parquet file that is being written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat

from app.errors import BackendUnavailableError, UnreadableTableError
from app.lake.compact.rewriting.destinations import Destination
from app.lake.compact.rewriting.dictionaries import with_dictionaries
from app.lake.compact.rewriting.layout import FileLayout
from app.lake.compact.rewriting.metrics import FileMetrics


class ParquetFile:
    """Row groups are written until it is closed; each table is one. `first` is what will be written first.

    Raises:
        BackendUnavailableError: storage refused, as where it is full; the file's location is in the message.
        UnreadableTableError: the rows are not such as the schema allows.
    """

    def __init__(self, io: FileIO, location: str, layout: FileLayout, first: pa.Table) -> None:
        self.location = location
        self._layout = layout
        self._metrics = FileMetrics(layout.columns, layout.modes)
        with _writing(location, layout.dataset):
            self._stream = cast("Any", io.new_output(location).create(overwrite=True))
            self._writer = pq.ParquetWriter(
                self._stream,
                layout.arrow_schema,
                use_dictionary=with_dictionaries(first, layout.columns),
                **layout.options.arguments,
            )

    @property
    def size_bytes(self) -> int:
        """Bytes written: without the footer, until it is closed."""
        return int(self._stream.tell())

    def write(self, rows: pa.Table) -> None:
        """One more row group."""
        with _writing(self.location, self._layout.dataset):
            self._writer.write_table(rows, row_group_size=rows.num_rows)
        self._metrics.see(rows)

    def close(self, destination: Destination) -> DataFile:
        """The end of the file, and what a manifest says of it."""
        with _writing(self.location, self._layout.dataset):
            self._writer.close()
            size_bytes = self.size_bytes
            self._stream.close()
        file: DataFile = DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=self.location,
            file_format=FileFormat.PARQUET,
            partition=destination.partition,
            file_size_in_bytes=size_bytes,
            sort_order_id=self._layout.sort_order_id,
            equality_ids=None,
            key_metadata=None,
            **self._metrics.of(self._writer.writer.metadata),
        )
        # Not a field of manifest entries, but what their manifest is of.
        file.spec_id = destination.spec_id
        return file

    def abandon(self) -> None:
        """Close what is open of it; the file is not whole then, and is to be removed."""
        # Or else it would write its footer when it is collected.
        self._writer.is_open = False
        with contextlib.suppress(OSError, pa.ArrowException):
            self._stream.close()


@contextlib.contextmanager
def _writing(location: str, dataset: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackendUnavailableError("lake", f"{location} cannot be written: {error}") from error
    except pa.ArrowInvalid as error:
        raise UnreadableTableError(dataset, f"rows of it cannot be written: {error}") from error
