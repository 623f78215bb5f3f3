"""Tables of many files for the benchmark of compaction: rows of eight columns, written by pyiceberg."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import BooleanType, DoubleType, LongType, NestedField, StringType, TimestamptzType

SCHEMA = Schema(
    NestedField(1, "id", LongType()),
    NestedField(2, "paid_at", TimestamptzType()),
    NestedField(3, "customer", LongType()),
    NestedField(4, "amount", DoubleType()),
    NestedField(5, "share", DoubleType()),
    NestedField(6, "token", StringType()),
    NestedField(7, "note", StringType()),
    NestedField(8, "is_paid", BooleanType()),
)
# About so many bytes a row take, compressed.
ROW_BYTES = 74
_WORDS, _NOTE_WORDS = 4_000, 6
_START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_COMMITS = 5
_WRITERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """How many rows each file of a table has, each in one row group."""

    rows: Sequence[int]

    @classmethod
    def equal(cls, count: int, megabytes: float) -> Files:
        """So many of about this size."""
        return cls(rows=[int(megabytes * 1024 * 1024 / ROW_BYTES)] * count)

    @classmethod
    def mixed(cls, count: int, rows: int) -> Files:
        """So many of all sizes, some fifty times as large as others, of so many rows together."""
        shares = np.random.default_rng(7).lognormal(sigma=1.0, size=count)
        return cls(rows=[max(1, int(rows * share)) for share in shares / shares.sum()])


def create_table(catalog: Catalog, name: str, files: Files, **properties: str) -> Table:
    """The table, with its files in a few commits."""
    codec = {"write.parquet.compression-codec": "zstd", "write.parquet.row-group-limit": "100000000"}
    table = catalog.create_table(name, SCHEMA, properties=codec | properties)
    make = _maker(table)
    starts = np.cumsum([0, *files.rows]).tolist()
    per_commit = -(-len(files.rows) // _COMMITS)
    with ThreadPoolExecutor(_WRITERS) as writers:
        for first in range(0, len(files.rows), per_commit):
            numbers = range(first, min(first + per_commit, len(files.rows)))
            made = list(writers.map(lambda number: make(starts[number], files.rows[number]), numbers))
            with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
                for data_file in made:
                    append.append_data_file(data_file)
    return table.refresh()


def files_of(table: Table) -> list[Path]:
    """The data files of its head, the largest first."""
    return sorted(
        # Spark writes `file:/…`.
        (Path(urlsplit(task.file.file_path).path) for task in table.scan().plan_files()),
        key=lambda path: -path.stat().st_size,
    )


def _maker(table: Table) -> Callable[[int, int], DataFile]:
    random = np.random.default_rng(1)
    words = np.array(["".join(random.choice(list("abcdefghijklmnopqrstuvwxyz"), 7)) for _ in range(_WORDS)])

    def make(start: int, count: int) -> DataFile:
        (data_file,) = _dataframe_to_data_files(table.metadata, _rows(words, start, count), table.io)
        return data_file

    return make


def _rows(words: np.ndarray, start: int, count: int) -> pa.Table:
    random = np.random.default_rng(start)
    first_us = int(_START.timestamp() * 1_000_000)
    note = words[random.integers(0, _WORDS, (_NOTE_WORDS, count))]
    text = note[0]
    for more in note[1:]:
        text = np.char.add(np.char.add(text, " "), more)
    token = random.bytes(16 * count).hex()
    return pa.table(
        {
            "id": pa.array(np.arange(start, start + count)),
            "paid_at": pa.array(
                first_us + 1000 * np.arange(start, start + count) + random.integers(0, 1000, count),
                pa.timestamp("us", tz="UTC"),
            ),
            "customer": pa.array(random.integers(0, 1_000_000, count)),
            "amount": pa.array(random.random(count) * 1000),
            "share": pa.array(random.random(count)),
            "token": pa.array([token[32 * number : 32 * number + 32] for number in range(count)], pa.large_string()),
            "note": pa.array(text, pa.large_string()),
            "is_paid": pa.array(random.random(count) < 0.9),
        }
    )
