"""Tables of two versions that differ in known rows, for the benchmark of comparisons.

All tables of one order of keys have the same first version, of the same data files. Rows are made from their keys, so
that any file can be made again with some rows changed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import _dataframe_to_data_files, schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update.snapshot import _OverwriteFiles
from pyiceberg.types import (
    DoubleType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from app.lake.sample.snapshots import delete_by_position
from app.lake.sample.steps import Marks
from app.lake.sample.tpch import TpchFiles

CATALOG, NAMESPACE = "bench", "compared"
SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "customer", LongType()),
    NestedField(3, "name", StringType()),
    NestedField(4, "city", StringType()),
    NestedField(5, "quantity", IntegerType()),
    NestedField(6, "price", DoubleType()),
    NestedField(7, "created", TimestamptzType()),
    NestedField(8, "note", StringType()),
    identifier_field_ids=[1],
)
# Odd, so that multiplying by it modulo a power of two gives each key once.
_SCATTER, _KEY_BITS = 0x1E3779B97F4A7C15, 62
_CITIES = pa.array([f"city {number}" for number in range(500)])
# Files are written several at once, each of them whole in memory.
_WRITERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the tables are; the change grows with them: of 10 million rows 1,000 updated and 1,000 deleted."""

    rows: int
    files: int

    @property
    def changed(self) -> int:
        """How many rows are updated, and how many are deleted."""
        return max(self.files, self.rows // 10_000)

    @property
    def appended(self) -> int:
        """How many rows are added."""
        return self.rows // 100

    @property
    def clustered(self) -> range:
        """The places of the files that a clustered change is in."""
        start = self.files // 2
        return range(start, min(self.files, start + max(1, self.files // 10)))

    def range_of(self, place: int) -> tuple[int, int]:
        """The numbers of the rows of a file."""
        return place * self.rows // self.files, (place + 1) * self.rows // self.files


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A snapshot, and the paths of its live files."""

    snapshot_id: int
    rows: int
    data_files: tuple[str, ...]
    delete_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoVersions:
    """A table of two versions, and the bytes of the live files that one has and the other has not."""

    table: str
    metadata_location: str
    before: Version
    after: Version
    differing_bytes: int


class TableMaker:
    """Makes tables in a catalog of SQLite in a folder."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.size = size
        self._catalog = open_catalog(folder)
        self._catalog.create_namespace_if_not_exists(NAMESPACE)
        self._base: dict[bool, list[DataFile]] = {}

    def close(self) -> None:
        """Let go of the catalog."""
        self._catalog.close()

    def rewritten(self, name: str, places: Sequence[int], *, is_random: bool = False) -> TwoVersions:
        """The change made by copy-on-write: these files are written anew, and one more with the rows that are added."""
        table, base = self._create(name, is_random=is_random)
        each = self.size.changed // len(places)
        files = self._write(
            table,
            [
                *(_changed(self._rows(place, is_random=is_random), each) for place in places),
                _rows_of(self.size.rows, self.size.rows + self.size.appended, is_random=is_random),
            ],
        )
        _overwrite(table, removed=[base[place] for place in places], added=files)
        return _versions_of(table)

    def appended(self, name: str, rows: int, appended: int) -> TwoVersions:
        """A table of so many rows, in files as large as the others, and rows added to it in ten files."""
        larger = Size(rows=rows, files=max(1, self.size.files * rows // self.size.rows))
        table = self._catalog.create_table(f"{NAMESPACE}.{name}", SCHEMA)
        base = self._write(table, (_rows_of(*larger.range_of(place)) for place in range(larger.files)))
        _append(table, base)
        more = Size(rows=appended, files=min(10, appended))
        spans = (more.range_of(place) for place in range(more.files))
        _append(table, self._write(table, (_rows_of(rows + start, rows + end) for start, end in spans)))
        return _versions_of(table)

    def deleted(self, name: str, places: Sequence[int]) -> TwoVersions:
        """Rows of these files deleted by merge-on-read."""
        table, _ = self._create(name, is_random=False)
        each = self.size.changed // len(places)
        ids = pa.concat_arrays(
            [pa.array(_spread(*self.size.range_of(place), 2 * each)[::2], pa.int64()) for place in places]
        )
        step = delete_by_position("delete", ["id"], pc.field("id").isin(ids))
        step.commit(table, TpchFiles(root=Path(), parts=1), Marks(step="delete", is_last=False))
        return _versions_of(table)

    def compacted(self, name: str, merged: int = 10) -> TwoVersions:
        """All rows in a tenth of the files, by a `replace` snapshot."""
        table, base = self._create(name, is_random=False)
        places = range(self.size.files)
        bins = [places[start : start + merged] for start in range(0, self.size.files, merged)]
        rows = (
            _rows_of(self.size.range_of(some[0])[0], self.size.range_of(some[-1])[1], is_random=False) for some in bins
        )
        _overwrite(table, removed=base, added=self._write(table, rows), producer=_Rewrite)
        return _versions_of(table)

    def _create(self, name: str, *, is_random: bool) -> tuple[Table, list[DataFile]]:
        table = self._catalog.create_table(f"{NAMESPACE}.{name}", SCHEMA)
        if is_random not in self._base:
            rows = (self._rows(place, is_random=is_random) for place in range(self.size.files))
            self._base[is_random] = self._write(table, rows)
        _append(table, self._base[is_random])
        return table, self._base[is_random]

    def _rows(self, place: int, *, is_random: bool) -> pa.Table:
        return _rows_of(*self.size.range_of(place), is_random=is_random)

    def _write(self, table: Table, files: Iterable[pa.Table]) -> list[DataFile]:
        with ThreadPoolExecutor(_WRITERS) as writers:
            waiting, written = [], []
            for rows in files:
                waiting.append(writers.submit(_write_file, table, rows))
                # Rows are made as they are written, not all before.
                if len(waiting) > _WRITERS:
                    written.append(waiting.pop(0).result())
            return written + [one.result() for one in waiting]


def open_catalog(folder: Path) -> SqlCatalog:
    """The catalog that the tables are in."""
    database = folder / "catalog.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        # Kept in the file: Spark's readers, who hold on to what they read, do not keep others from writing then.
        connection.execute("PRAGMA journal_mode = WAL")
    return SqlCatalog(CATALOG, uri=f"sqlite:///{database}?timeout=60", warehouse=f"file://{folder}/warehouse")


class _Rewrite(_OverwriteFiles):
    """What a compaction does, which pyiceberg does not make."""

    def _summary(self, snapshot_properties: dict[str, str] | None = None) -> Summary:
        made = super()._summary(snapshot_properties or {})
        return Summary(operation=Operation.REPLACE, **made.additional_properties)


def _rows_of(start: int, end: int, *, is_random: bool = False) -> pa.Table:
    numbers = np.arange(start, end, dtype=np.int64)
    # Any bits that depend on the number, cheap and the same at every run.
    noise = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    noise ^= noise >> np.uint64(29)
    ids = numbers
    if is_random:
        ids = ((numbers.astype(np.uint64) * np.uint64(_SCATTER)) & np.uint64(2**_KEY_BITS - 1)).astype(np.int64)
    customers = pa.array((noise % np.uint64(1_000_003)).astype(np.int64))
    arrays = [
        pa.array(ids),
        customers,
        pc.binary_join_element_wise("customer", customers.cast(pa.string()), " "),
        _CITIES.take(pa.array((noise >> np.uint64(33)) % np.uint64(len(_CITIES)))),
        pa.array((noise % np.uint64(97)).astype(np.int32)),
        pa.array((noise % np.uint64(1_000_000)).astype(np.float64) / 100),
        pa.array(1_700_000_000_000_000 + numbers * 1_000_000).cast(pa.timestamp("us", tz="UTC")),
        pa.array(noise).cast(pa.string()),
    ]
    return pa.Table.from_arrays(arrays, schema=schema_to_pyarrow(SCHEMA, include_field_ids=False))


def _changed(rows: pa.Table, each: int) -> pa.Table:
    """The rows with as many of them updated, and as many deleted."""
    touched = _spread(0, rows.num_rows, 2 * each)
    is_updated, is_kept = np.zeros(rows.num_rows, bool), np.ones(rows.num_rows, bool)
    is_updated[touched[::2]], is_kept[touched[1::2]] = True, False
    price = rows.schema.get_field_index("price")
    dearer = pc.if_else(pa.array(is_updated), pc.add(rows.column(price), 1.0), rows.column(price))
    return rows.set_column(price, rows.schema.field(price), dearer).filter(pa.array(is_kept))


def _spread(start: int, end: int, count: int) -> np.ndarray:
    return np.linspace(start, end - 1, min(count, end - start)).astype(np.int64)


def _write_file(table: Table, rows: pa.Table) -> DataFile:
    (file,) = _dataframe_to_data_files(table.metadata, rows, table.io)
    file.spec_id = table.spec().spec_id
    return file


def _append(table: Table, files: Iterable[DataFile]) -> None:
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as update:
        for file in files:
            update.append_data_file(file)


def _overwrite(
    table: Table,
    *,
    removed: Iterable[DataFile],
    added: Iterable[DataFile],
    producer: type[_OverwriteFiles] = _OverwriteFiles,
) -> None:
    with (
        table.transaction() as transaction,
        producer(operation=Operation.OVERWRITE, transaction=transaction, io=table.io) as update,
    ):
        for file in removed:
            update.delete_data_file(file)
        for file in added:
            update.append_data_file(file)


def _versions_of(table: Table) -> TwoVersions:
    """The last two snapshots of a table."""
    table.refresh()
    head = table.current_snapshot()
    assert head is not None
    sizes: list[dict[tuple[str, frozenset[str]], dict[str, int]]] = []
    versions = []
    for snapshot_id in (head.parent_snapshot_id or 0, head.snapshot_id):
        tasks = list(table.scan(snapshot_id=snapshot_id).plan_files())
        deletes = {file.file_path: file.file_size_in_bytes for task in tasks for file in task.delete_files}
        sizes.append(
            {
                (task.file.file_path, frozenset(file.file_path for file in task.delete_files)): {
                    file.file_path: file.file_size_in_bytes for file in (task.file, *task.delete_files)
                }
                for task in tasks
            }
        )
        versions.append(
            Version(
                snapshot_id=snapshot_id,
                rows=sum(task.file.record_count for task in tasks)
                - sum(file.record_count for file in {f.file_path: f for t in tasks for f in t.delete_files}.values()),
                data_files=tuple(sorted(task.file.file_path for task in tasks)),
                delete_files=tuple(sorted(deletes)),
            )
        )
    differing = {
        path: size for pair in sizes[0].keys() ^ sizes[1].keys() for path, size in (sizes[0] | sizes[1])[pair].items()
    }
    return TwoVersions(
        table=f"{NAMESPACE}.{table.name()[-1]}",
        metadata_location=table.metadata_location,
        before=versions[0],
        after=versions[1],
        differing_bytes=sum(differing.values()),
    )
