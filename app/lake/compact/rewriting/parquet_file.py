"""One Parquet file that is being written, of row groups that are encoded already."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pyarrow as pa
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat

from app.errors import BackendUnavailableError
from app.lake.compact.copying.footers import MAGIC, Footer
from app.lake.compact.copying.merging import plan_join
from app.lake.compact.rewriting.destinations import Destination
from app.lake.compact.rewriting.layout import FileLayout
from app.lake.compact.rewriting.metrics import FileMetrics
from app.lake.compact.rewriting.row_groups import Bytes, EncodedGroup


class ParquetFile:
    """Row groups are added one behind the other, and then the footer that says where they are.

    `size_bytes` is what was written, `footer_bytes` at most what the footer will say of the row groups.

    Raises:
        BackendUnavailableError: storage refused, as where it is full; the file's location is in the message.
    """

    def __init__(self, io: FileIO, location: str, layout: FileLayout) -> None:
        self.location = location
        self.size_bytes = self.footer_bytes = 0
        self._io = io
        self._layout = layout
        self._metrics = FileMetrics(layout.columns, layout.modes)
        self._footers: list[Footer] = []
        with _writing(location):
            self._stream = cast("Any", io.new_output(location).create(overwrite=True))
            self._write(MAGIC)

    def add(self, group: EncodedGroup) -> None:
        """One more row group."""
        with _writing(self.location):
            for part in group.parts:
                self._write(part)
        self._footers.append(replace(group.footer, location=self.location))
        self._metrics.add(group.metrics)
        self.footer_bytes += group.footer_bytes

    def close(self, destination: Destination) -> DataFile:
        """The end of the file, and what a manifest says of it."""
        # Where everything is follows from what there is, as where files are joined.
        plan = plan_join(self._io, self._footers, is_stopped=lambda: False)
        end = plan.pieces[-1]
        if not isinstance(end, bytes):
            raise TypeError("a joined file ends with what was made for it")
        with _writing(self.location):
            self._write(end)
            self._stream.close()
        if self.size_bytes != plan.size_bytes:
            raise RuntimeError(f"{self.location} has {self.size_bytes} bytes and was to have {plan.size_bytes}")
        file: DataFile = DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=self.location,
            file_format=FileFormat.PARQUET,
            partition=destination.partition,
            file_size_in_bytes=self.size_bytes,
            sort_order_id=self._layout.sort_order_id,
            equality_ids=None,
            key_metadata=None,
            split_offsets=list(plan.split_offsets),
            **self._metrics.fields(),
        )
        # Not a field of manifest entries, but what their manifest is of.
        file.spec_id = destination.spec_id
        return file

    def abandon(self) -> None:
        """Close what is open of it; the file is not whole then, and is to be removed."""
        with contextlib.suppress(OSError, pa.ArrowException):
            self._stream.close()

    def _write(self, content: Bytes) -> None:
        self._stream.write(content)
        self.size_bytes += len(content)


@contextlib.contextmanager
def _writing(location: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackendUnavailableError("lake", f"{location} cannot be written: {error}") from error
