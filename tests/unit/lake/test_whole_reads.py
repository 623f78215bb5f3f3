"""What storage is asked for: small files whole, by one request; of large ones what is wanted."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io import FileIO, InputFile, InputStream
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField, StringType

from app.lake.data_files import stream_data_file
from app.lake.internals import CachingSqlCatalog
from tests.unit.lake.local_tables import append, create_table

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "text", StringType()))


class Counted(FileIO):
    """Files whose reads are counted, in bytes."""

    def __init__(self, inner: FileIO) -> None:
        super().__init__(inner.properties)
        self._inner = inner
        self.reads: list[int] = []

    def new_input(self, location: str) -> InputFile:
        inner, reads = self._inner.new_input(location), self.reads

        class Stream(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                content = super().read(size)
                reads.append(len(content))
                return content

        class File(InputFile):
            def __len__(self) -> int:
                return len(inner)

            def exists(self) -> bool:
                return True

            def open(self, seekable: bool = True) -> InputStream:
                path = Path(location.removeprefix("file://"))
                opened: Any = pa.PythonFile(Stream(path.read_bytes()), mode="r")
                return opened

        return File(location)

    def new_output(self, location: str) -> Any:
        raise NotImplementedError

    def delete(self, location: Any) -> None:
        raise NotImplementedError


def table_of(catalog: CachingSqlCatalog, rows: int, size: int) -> Table:
    table = create_table(catalog, SCHEMA)
    append(table, [{"id": number, "text": f"{number:0{size}}"} for number in range(rows)])
    return table


@pytest.mark.parametrize(("rows", "is_whole"), [(10, True), (200_000, False)])
def test_a_small_file_is_asked_for_once(catalog: CachingSqlCatalog, rows: int, is_whole: bool) -> None:
    # Given a file
    table = table_of(catalog, rows, 20)
    (task,) = table.scan().plan_files()
    counted = Counted(table.io)
    # When one of its columns is read
    ids = table.schema().select("id")
    batches = stream_data_file(
        counted, task, bound_filter=AlwaysTrue(), projected=ids, read=ids, metadata=table.metadata
    )
    found = [row for batch in batches for row in batch.column("id").to_pylist()]
    # Then the answer is the same, and a small one was read whole, a large one in parts and not all of it
    assert found == list(range(rows))
    size = task.file.file_size_in_bytes
    if is_whole:
        assert counted.reads == [size]
    else:
        assert size > 256 * 1024
        assert len(counted.reads) > 1
        assert sum(counted.reads) < size


def test_a_manifest_that_says_too_little_of_a_file_does_not_have_it_read_whole(catalog: CachingSqlCatalog) -> None:
    table = table_of(catalog, 200_000, 20)
    (task,) = table.scan().plan_files()
    size = task.file.file_size_in_bytes
    task.file._data[5] = 100
    assert (task.file.file_size_in_bytes, size > 2**19) == (100, True)
    counted = Counted(table.io)
    ids = table.schema().select("id")
    batches = stream_data_file(
        counted, task, bound_filter=AlwaysTrue(), projected=ids, read=ids, metadata=table.metadata
    )
    assert [row for batch in batches for row in batch.column("id").to_pylist()] == list(range(200_000))
    assert max(counted.reads) < size
