"""The rows of one side for the engine: small sets in memory, large ones as a stream that is opened anew each time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.schema import Schema

from app.errors import UnreadableTableError
from app.lake.catalog import reading_files
from app.lake.data_files import stream_data_file
from app.lake.file_schemas import to_arrow_schema
from app.lake.row_diff.engine_values import column_to_engine, engine_schema, to_engine
from app.lake.row_diff.long_values import Originals, StandIns, originals_in, shortened
from app.lake.row_diff.parts import FilePart
from app.lake.row_diff.planning import PlannedSide
from app.lake.row_diff.stopping import RowDiffStoppedError

# Rows that are held, in the engine's form: how much they are is not known before they are decoded.
_HELD_BYTES = 128 * 1024 * 1024

# What is done once a batch takes longer than decoding a few thousand rows.
_BATCH_ROWS = 16_384

# Told of each reading: the side, the places of its parts, and of the columns.
OnRead = Callable[[PlannedSide, Sequence[int], Sequence[int]], None]


class Feed:
    """Rows of some parts of a side.

    Held in memory they are read once, by the threads of `readers`, from `prefetch` on; without any, or where there is
    more to hold than is allowed, they are streamed, each time anew. What goes wrong in a stream reaches the engine as a
    text; `raise_failure` raises it as it was. `on_rows` is told of the rows of a stream as they are read. Long values
    have stand-ins.
    """

    def __init__(
        self,
        side: PlannedSide,
        places: Sequence[int],
        *,
        readers: ThreadPoolExecutor | None,
        is_stopped: Callable[[], bool],
        on_read: OnRead,
        on_rows: Callable[[int], None],
    ) -> None:
        self._side = side
        self._places = places
        self._schema = engine_schema(to_arrow_schema(side.schema))
        self._readers = readers
        self._is_stopped = is_stopped
        self._on_read = on_read
        self._on_rows = on_rows
        self._reading: list[Future[list[pa.RecordBatch]]] = []
        self._table: pa.Table | None = None
        self._held_bytes = 0
        self._lock = threading.Lock()
        self._failure: Exception | None = None
        # Held rows are checked when they are given to the engine, of which little is left by then. Nested values are
        # made into texts at once, which takes them to be right.
        self._is_checked = any(not field.field_type.is_primitive for field in side.schema.fields)

    @property
    def schema(self) -> pa.Schema:
        """That of the engine's form, with columns `c0`, `c1` …"""
        return self._schema

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(part.rows for part in self._parts())

    def prefetch(self) -> None:
        """Begin to read what is to be held in memory."""
        if self._readers is not None and not self._reading:
            self._on_read(self._side, self._places, range(len(self._schema)))
            self._reading = [self._readers.submit(self._read_whole, part) for part in self._parts()]

    def open(self, columns: Sequence[int]) -> pa.Table | pa.RecordBatchReader:
        """The rows with these columns, by their places, in the engine's form, to be given to it."""
        table = self.held()
        if table is None:
            return self._stream(columns)
        if not self._is_checked:
            self.check(table)
            self._is_checked = True
        return table.select([f"c{place}" for place in columns])

    def check(self, rows: pa.Table) -> None:
        """That texts in these rows of what is held are UTF-8, as the engine takes them for.

        Raises:
            UnreadableTableError: some are not; of which file, is found out by reading all of them again.
        """
        try:
            for column in rows.columns:
                column.validate(full=True)
        except pa.ArrowInvalid:
            for part in self._parts():
                for _ in read_part(self._side, part):
                    pass
            raise

    def held(self) -> pa.Table | None:
        """All rows in the engine's form, in the order of their parts; None where they are streamed."""
        if self._table is None and self._readers is not None:
            self.prefetch()
            batches = [batch for reading in self._reading for batch in reading.result()]
            self._reading = []
            if self._held_bytes > _HELD_BYTES:
                self._readers = None
            else:
                self._table = pa.Table.from_batches(batches, self._schema)
        return self._table

    def let_go(self) -> None:
        """Hold nothing any more: rows are read no more, but for originals."""
        self._table = None
        self._readers = None

    def raise_failure(self) -> None:
        """Raise what a stream failed by, if one did."""
        if self._failure is not None:
            raise self._failure

    def originals(self, stand_ins: StandIns) -> Originals:
        """What these stand-ins stand for. Costs reading their columns, up to the last that is looked for."""
        columns = sorted(stand_ins)
        missing = {place: set(wanted) for place, wanted in stand_ins.items()}
        found: dict[tuple[int, bytes], bytes] = {}
        for place in self._places if columns else ():
            self._on_read(self._side, [place], columns)
            for batch in read_part(self._side, self._side.parts[place], columns):
                if self._is_stopped():
                    raise RowDiffStoppedError
                for column, array in zip(columns, batch.columns, strict=True):
                    whole = column_to_engine(array, self._schema.field(column).type)
                    for stand_in, original in originals_in(whole, missing[column]):
                        found[column, stand_in] = original
                        missing[column].discard(stand_in)
                if not any(missing.values()):
                    return found
        return found

    def _parts(self) -> list[FilePart]:
        return [self._side.parts[place] for place in self._places]

    def _read_whole(self, part: FilePart) -> list[pa.RecordBatch]:
        batches = []
        for batch in self._batches(part, range(len(self._schema)), checks_texts=self._is_checked, is_bulk=True):
            with self._lock:
                self._held_bytes += batch.nbytes
                if self._held_bytes > _HELD_BYTES:
                    return []
            batches.append(batch)
        return batches

    def _stream(self, columns: Sequence[int]) -> pa.RecordBatchReader:
        def generate() -> Iterator[pa.RecordBatch]:
            try:
                for part in self._parts():
                    for batch in self._batches(part, columns):
                        self._on_rows(batch.num_rows)
                        yield batch
            except Exception as error:
                self._failure = error
                raise

        self._on_read(self._side, self._places, columns)
        schema = pa.schema([self._schema.field(place) for place in columns])
        return pa.RecordBatchReader.from_batches(schema, generate())

    def _batches(
        self, part: FilePart, columns: Sequence[int], *, checks_texts: bool = True, is_bulk: bool = False
    ) -> Iterator[pa.RecordBatch]:
        wanted = pa.schema([self._schema.field(place) for place in columns])
        for batch in read_part(self._side, part, columns, checks_texts=checks_texts, is_bulk=is_bulk):
            if self._is_stopped():
                raise RowDiffStoppedError
            yield pa.RecordBatch.from_arrays(
                [shortened(column) for column in to_engine(batch, wanted).columns], schema=wanted
            )


@contextlib.contextmanager
def telling_failures(*feeds: Feed) -> Iterator[None]:
    """Have what the streams of these feeds failed by be told as it was, whatever the engine made of it."""
    try:
        yield
    except Exception:
        for feed in feeds:
            feed.raise_failure()
        raise


def read_part(
    side: PlannedSide,
    part: FilePart,
    columns: Sequence[int] | None = None,
    *,
    checks_texts: bool = True,
    is_bulk: bool = False,
) -> Generator[pa.RecordBatch, None, None]:
    """The rows of a part in the schema that the side is compared in, or with these columns of it.

    `checks_texts` and `is_bulk` are those of `stream_data_file`.

    Raises:
        MissingFileError: the file is not there.
        UnreadableTableError: it is broken, or has not the rows that its manifest says.
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
            checks_texts=checks_texts,
            is_bulk=is_bulk,
        )
        for batch in batches:
            rows += batch.num_rows
            yield batch
    if rows != part.rows:
        path = part.task.file.file_path
        reason = f"it has {rows} rows to compare where its manifest and its deletes leave {part.rows}"
        raise UnreadableTableError(str(side.table.state.name), reason, file=path)
