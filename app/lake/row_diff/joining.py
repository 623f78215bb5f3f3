"""Comparing two sets of rows in DuckDB, which joins and groups in bounded memory and spills to disk beyond it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import duckdb
import pyarrow as pa

from app.domain.row_diffs import KeyFault
from app.domain.version_relation import DiffSide
from app.errors import BackendUnavailableError, RowDiffMemoryError
from app.lake.row_diff.engine_values import is_float
from app.lake.row_diff.stopping import RowDiffStoppedError

Rows: TypeAlias = pa.Table | pa.RecordBatchReader
# Opens the rows anew: a stream can be read once.
Source = Callable[[Sequence[int]], Rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFinding:
    """A key that identifies no row, as one row of an Arrow table."""

    fault: KeyFault
    side: DiffSide
    example: pa.Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What two sets of rows differ in.

    Tables have columns `c0`… and, of floats, `z0`… for the sign of a zero; `changed` has those of the row before as
    `f…` and of the row after as `t…`. `copies` says for each row of a multiset how often it is there more.
    """

    added: int
    removed: int
    changed: int
    added_rows: pa.Table
    removed_rows: pa.Table
    changed_rows: pa.Table | None


class Joiner:
    """One in-memory database, for one comparison; used by one thread, and stopped by any."""

    def __init__(
        self, schema: pa.Schema, *, scratch: Path, memory_bytes: int, threads: int, is_stopped: Callable[[], bool]
    ) -> None:
        self._schema = schema
        self._is_stopped = is_stopped
        self._places = range(len(schema))
        self._floats = [place for place, field in enumerate(schema) if is_float(field.type)]
        self._connection = duckdb.connect(
            config={
                "memory_limit": f"{memory_bytes}B",
                "temp_directory": str(scratch),
                "threads": threads,
                "preserve_insertion_order": False,
                # What is read comes through Arrow; nothing is to be fetched or loaded.
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def stop(self) -> None:
        """End what is running with RowDiffStoppedError; what would run next ends as `is_stopped` says so."""
        # It may have been closed meanwhile.
        with contextlib.suppress(duckdb.ConnectionException):
            self._connection.interrupt()

    def find_key_fault(
        self, source: Source, keys: Sequence[int], side: DiffSide, *, is_unique: bool
    ) -> KeyFinding | None:
        """A null in the keys of these rows, or with `is_unique` a key that is on several; reads the keys alone."""
        key = ", ".join(self._columns(keys))
        null = " OR ".join(f"c{place} IS NULL" for place in keys)
        distinct = f"count(DISTINCT ({key}))" if is_unique else "0"
        counts = f"SELECT count(*), count(*) FILTER ({null}), {distinct} FROM ({self._select('rows', keys)})"
        rows, nulls, keys_found = self._one(counts, rows=source(keys))
        if nulls:
            example = f"SELECT {key} FROM ({self._select('rows', keys)}) WHERE {null} ORDER BY {key} LIMIT 1"
            return KeyFinding(fault=KeyFault.HAS_NULL, side=side, example=self._table(example, rows=source(keys)))
        return self._find_double(source, keys, side) if is_unique and keys_found < rows else None

    def compare_keys(
        self, from_rows: Source, to_rows: Source, keys: Sequence[int], counts: tuple[int, int], sample_size: int
    ) -> Outcome | KeyFinding:
        """Join by key. `counts` are the numbers of rows; the keys have no nulls, and those of `to_rows` are unique."""
        values = [place for place in self._places if place not in keys]
        same_key = " AND ".join(f"f.{name} = t.{name}" for name in self._columns(keys))
        differs = " OR ".join(f"f.{name} IS DISTINCT FROM t.{name}" for name in self._columns(values)) or "false"
        shown = ", ".join(
            f"{side}.{name} AS {side}{name}" for side in ("f", "t") for name in self._columns(self._places)
        )
        self._make(
            f"CREATE OR REPLACE TEMP TABLE d AS SELECT f.p AS fp, t.p AS tp, {shown} "
            f"FROM (SELECT true AS p, * FROM ({self._select('f')})) f "
            f"FULL OUTER JOIN (SELECT true AS p, * FROM ({self._select('t')})) t ON {same_key} "
            f"WHERE f.p IS NULL OR t.p IS NULL OR {differs}",
            f=from_rows(self._places),
            t=to_rows(self._places),
        )
        removed, added, total, kinds = self._one(
            "SELECT count(*) FILTER (tp IS NULL), count(*) FILTER (fp IS NULL), count(*), "
            f"count(DISTINCT ({', '.join('f' + name for name in self._columns(keys))})) FILTER (tp IS NULL) FROM d"
        )
        # Keys of one side being unique, one that is twice on the other shows in the number of rows that found no match.
        if counts[0] - removed != counts[1] - added or kinds < removed:
            found = self._find_double(from_rows, keys, DiffSide.FROM)
            if found is None:
                raise RuntimeError(f"the join does not add up: {counts}, {removed} removed, {added} added")
            return found
        return Outcome(
            added=added,
            removed=removed,
            changed=total - added - removed,
            added_rows=self._sample("t", "fp IS NULL", keys, sample_size),
            removed_rows=self._sample("f", "tp IS NULL", keys, sample_size),
            changed_rows=self._table(
                f"SELECT * EXCLUDE (fp, tp) FROM d WHERE fp AND tp "
                f"ORDER BY {', '.join('f' + name for name in self._columns(keys))} LIMIT {sample_size}"
            ),
        )

    def compare_multisets(self, from_rows: Source, to_rows: Source, sample_size: int) -> Outcome:
        """Count each distinct row on both sides."""
        names = ", ".join(self._columns(self._places))
        self._make(
            f"CREATE OR REPLACE TEMP TABLE d AS SELECT {names}, sum(w)::BIGINT AS w FROM ("
            f"SELECT *, -1 AS w FROM ({self._select('f')}) UNION ALL SELECT *, 1 AS w FROM ({self._select('t')})"
            f") GROUP BY {names} HAVING sum(w) <> 0",
            f=from_rows(self._places),
            t=to_rows(self._places),
        )
        added, removed = self._one(
            "SELECT coalesce(sum(w) FILTER (w > 0), 0)::BIGINT, coalesce(-sum(w) FILTER (w < 0), 0)::BIGINT FROM d"
        )
        added_rows, removed_rows = (
            self._table(
                f"SELECT * EXCLUDE w, abs(w) AS copies FROM d WHERE {which} ORDER BY {names} LIMIT {sample_size}"
            )
            for which in ("w > 0", "w < 0")
        )
        return Outcome(
            added=added, removed=removed, changed=0, added_rows=added_rows, removed_rows=removed_rows, changed_rows=None
        )

    def _find_double(self, source: Source, keys: Sequence[int], side: DiffSide) -> KeyFinding | None:
        key = ", ".join(self._columns(keys))
        found = self._table(
            f"SELECT {key} FROM ({self._select('rows', keys)}) GROUP BY {key} HAVING count(*) > 1 "
            f"ORDER BY {key} LIMIT 1",
            rows=source(keys),
        )
        return KeyFinding(fault=KeyFault.NOT_UNIQUE, side=side, example=found) if found.num_rows else None

    def _sample(self, side: str, which: str, keys: Sequence[int], size: int) -> pa.Table:
        shown = ", ".join(f"{side}{name} AS {name}" for name in self._columns(self._places))
        order = ", ".join(f"{side}{name}" for name in self._columns(keys))
        return self._table(f"SELECT {shown} FROM d WHERE {which} ORDER BY {order} LIMIT {size}")

    def _select(self, name: str, places: Sequence[int] | None = None) -> str:
        chosen = self._places if places is None else places
        columns = [f"c{place}" for place in chosen]
        columns += [f"(c{place} = 0 AND signbit(c{place})) AS z{place}" for place in chosen if place in self._floats]
        return f"SELECT {', '.join(columns)} FROM {name}"

    def _columns(self, places: Sequence[int]) -> list[str]:
        return [f"c{place}" for place in places] + [f"z{place}" for place in places if place in self._floats]

    def _one(self, query: str, **rows: Rows) -> tuple[Any, ...]:
        with self._registered(rows):
            (row,) = self._connection.execute(query).fetchall()
        return tuple(row)

    def _table(self, query: str, **rows: Rows) -> pa.Table:
        with self._registered(rows):
            return self._connection.sql(query).to_arrow_table()

    def _make(self, query: str, **rows: Rows) -> None:
        with self._registered(rows):
            self._connection.execute(query).fetchall()

    @contextlib.contextmanager
    def _registered(self, rows: Mapping[str, Rows]) -> Iterator[None]:
        if self._is_stopped():
            raise RowDiffStoppedError
        with _translated():
            for name, source in rows.items():
                self._connection.register(name, source)
            try:
                yield
            finally:
                for name in rows:
                    self._connection.unregister(name)


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
