"""DuckDB as the engine that joins and groups rows: in bounded memory, spilling to disk beyond it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import duckdb
import pyarrow as pa

from app.errors import BackendUnavailableError, RowDiffMemoryError
from app.lake.row_diff.engine_values import is_float
from app.lake.row_diff.stopping import RowDiffStoppedError

Rows: TypeAlias = pa.Table | pa.RecordBatchReader
# Opens the rows anew, with these columns: a stream can be read once.
Source = Callable[[Sequence[int]], Rows]


class Engine:
    """One in-memory database, for one comparison; used by one thread, and stopped by any.

    Rows are known by the names that a query is given them by. Their columns are `c0`, `c1` …; of floats there is the
    sign of a zero beside, as `z…`.
    """

    def __init__(
        self,
        schema: pa.Schema,
        *,
        scratch: Path,
        memory_bytes: int,
        threads: int,
        is_stopped: Callable[[], bool],
    ) -> None:
        self.schema = schema
        self.places = range(len(schema))
        self._is_stopped = is_stopped
        self._floats = {place for place, field in enumerate(schema) if is_float(field.type)}
        self._config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{memory_bytes}B",
            "temp_directory": str(scratch),
            "threads": threads,
            "preserve_insertion_order": False,
            # What is read comes through Arrow; nothing is to be fetched or loaded.
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        self._opened: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._opened is not None:
            self._opened.close()

    def stop(self) -> None:
        """End what is running with RowDiffStoppedError; what would run next ends as `is_stopped` says so."""
        if self._opened is not None:
            # It may have been closed meanwhile.
            with contextlib.suppress(duckdb.ConnectionException):
                self._opened.interrupt()

    def select(self, name: str, places: Sequence[int] | None = None) -> str:
        """A query for these columns of rows, all without places."""
        chosen = self.places if places is None else places
        columns = [f"c{place}" for place in chosen]
        columns += [f"(c{place} = 0 AND signbit(c{place})) AS z{place}" for place in chosen if place in self._floats]
        return f"SELECT {', '.join(columns)} FROM {name}"

    def columns(self, places: Sequence[int]) -> list[str]:
        """Names of these columns as `select` has them."""
        return [f"c{place}" for place in places] + [f"z{place}" for place in places if place in self._floats]

    def one(self, query: str, **rows: Rows) -> tuple[Any, ...]:
        """The only row of an answer."""
        with self._registered(rows):
            (row,) = self._connection.execute(query).fetchall()
        return tuple(row)

    def table(self, query: str, **rows: Rows) -> pa.Table:
        """A whole answer."""
        with self._registered(rows):
            return self._connection.sql(query).to_arrow_table()

    def run(self, query: str, **rows: Rows) -> None:
        """A query without an answer."""
        with self._registered(rows):
            self._connection.execute(query).fetchall()

    @property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        """Made when it is first asked, by which time the first rows are being read: it takes as long as 100,000."""
        if self._opened is None:
            self._opened = duckdb.connect(config=self._config)
        return self._opened

    @contextlib.contextmanager
    def _registered(self, rows: Mapping[str, Rows]) -> Iterator[None]:
        connection = self._connection
        # After it was made, so that one who stops it between the two is heard by the one or the other.
        if self._is_stopped():
            raise RowDiffStoppedError
        with _translated():
            for name, source in rows.items():
                connection.register(name, source)
            try:
                yield
            finally:
                for name in rows:
                    connection.unregister(name)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except duckdb.InterruptException as error:
        raise RowDiffStoppedError from error
    except duckdb.OutOfMemoryException as error:
        raise RowDiffMemoryError from error
    except duckdb.IOException as error:
        raise BackendUnavailableError("scratch space", str(error).splitlines()[0]) from error
