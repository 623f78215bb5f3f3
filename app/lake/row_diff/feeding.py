"""The rows of one side for the engine: small sets in memory, large ones as a stream that is opened anew each time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.schema import Schema

from app.errors import UnreadableTableError
from app.lake.catalog import reading_files
from app.lake.data_files import stream_data_file, to_arrow_schema
from app.lake.row_diff.engine_values import engine_schema, to_engine
from app.lake.row_diff.planning import FilePart, PlannedSide
from app.lake.row_diff.stopping import RowDiffStoppedError


class Feed:
    """Rows of some parts of a side.

    Held in memory they are read once, by the threads of `readers`, from `prefetch` on. What goes wrong in a stream
    reaches the engine as a text; `raise_failure` raises it as it was.
    """

    def __init__(
        self, side: PlannedSide, places: Sequence[int], *, readers: ThreadPoolExecutor | None, stopped: threading.Event
    ) -> None:
        self._side = side
        self._parts = [side.parts[place] for place in places]
        self._readers = readers
        self._stopped = stopped
        self._reading: list[Future[list[pa.RecordBatch]]] = []
        self._table: pa.Table | None = None
        self._failure: BaseException | None = None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(part.rows for part in self._parts)

    def prefetch(self) -> None:
        """Begin to read what is to be held in memory."""
        if self._readers is not None and not self._reading:
            self._reading = [self._readers.submit(self._read_whole, part) for part in self._parts]

    def open(self, columns: Sequence[int]) -> pa.Table | pa.RecordBatchReader:
        """The rows with these columns, by their places, in the engine's form."""
        if self._readers is not None:
            return self._held().select([f"c{place}" for place in columns])
        return self._stream(columns)

    def raise_failure(self) -> None:
        """Raise what a stream failed by, if one did."""
        if self._failure is not None:
            raise self._failure

    def _held(self) -> pa.Table:
        if self._table is None:
            self.prefetch()
            batches = [batch for reading in self._reading for batch in reading.result()]
            self._reading = []
            self._table = pa.Table.from_batches(batches, engine_schema(to_arrow_schema(self._side.schema)))
        return self._table

    def _read_whole(self, part: FilePart) -> list[pa.RecordBatch]:
        return list(self._batches(part, range(len(self._side.schema.fields))))

    def _stream(self, columns: Sequence[int]) -> pa.RecordBatchReader:
        def generate() -> Iterator[pa.RecordBatch]:
            try:
                for part in self._parts:
                    yield from self._batches(part, columns)
            except BaseException as error:
                self._failure = error
                raise

        schema = engine_schema(to_arrow_schema(self._side.schema))
        return pa.RecordBatchReader.from_batches(pa.schema([schema.field(place) for place in columns]), generate())

    def _batches(self, part: FilePart, columns: Sequence[int]) -> Iterator[pa.RecordBatch]:
        wanted = engine_schema(to_arrow_schema(self._side.schema))
        wanted = pa.schema([wanted.field(place) for place in columns])
        for batch in read_part(self._side, part, columns):
            if self._stopped.is_set():
                raise RowDiffStoppedError
            yield to_engine(batch, wanted)


def read_part(side: PlannedSide, part: FilePart, columns: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a part in the schema that the side is compared in, or with these columns of it.

    Raises:
        UnreadableTableError: the file is missing or broken, or has not the rows that its manifest says.
        UnsupportedTableError: it does not fit the schema.
    """
    fields = side.schema.fields
    schema = side.schema if columns is None else Schema(*(fields[place] for place in columns))
    rows = 0
    with reading_files(side.table.state.name):
        batches = stream_data_file(
            side.table.io,
            part.task,
            bound_filter=AlwaysTrue(),
            projected=schema,
            read=schema,
            metadata=side.metadata,
            only=part.only,
            deleted=part.deleted,
        )
        for batch in batches:
            rows += batch.num_rows
            yield batch
    if rows != part.rows:
        path = part.task.file.file_path
        reason = f"{path} has {rows} rows to compare where its manifest and its deletes leave {part.rows}"
        raise UnreadableTableError(str(side.table.state.name), reason)
