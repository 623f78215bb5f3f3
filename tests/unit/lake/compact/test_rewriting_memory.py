"""That memory is bounded, however much is rewritten, however large row groups are, and also where rows are sorted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.sorting import NullOrder
from pyiceberg.transforms import IdentityTransform

from app.lake.internals import CachingSqlCatalog
from tests.unit.lake.compact import measure_rewriting
from tests.unit.lake.compact.merges import task_of
from tests.unit.lake.local_tables import NAME
from tests.unit.lake.row_diff.made_snapshots import commit_files, write_data_files, write_position_deletes

pytestmark = pytest.mark.slow

MB = 1024 * 1024
ROOT = Path(__file__).parents[4]
SCHEMA = pa.schema([("id", pa.int64()), ("x", pa.float64()), ("name", pa.string()), ("kind", pa.string())])
ROWS = 1_000_000


@pytest.fixture(scope="module")
def large_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Files of a million rows, 70 MB each in memory, and each of one row group."""
    folder = tmp_path_factory.mktemp("files")
    paths = []
    for number in range(6):
        rng = np.random.default_rng(number)
        numbers = pc.cast(pa.array(rng.integers(0, 10**9, ROWS)), pa.string())
        names = pc.binary_join_element_wise("a name of a row", numbers, " ")
        kinds = np.array(["one", "two", "three"])[rng.integers(0, 3, ROWS)]
        paths.append(str(folder / f"{number}.parquet"))
        rows = pa.table([np.arange(ROWS), rng.normal(size=ROWS), names, kinds], SCHEMA.names).cast(SCHEMA)
        pq.write_table(rows, paths[-1], row_group_size=ROWS)
    return paths


def of_files(catalog: CachingSqlCatalog, paths: list[str], *, is_sorted: bool) -> Table:
    table = catalog.create_table(str(NAME), SCHEMA)
    if is_sorted:
        with table.update_sort_order() as update:
            update.asc("x", IdentityTransform(), NullOrder.NULLS_LAST)
    table.add_files(paths)
    return table


def measured(table: Table, scratch: Path, way: str = "rewrite") -> dict[str, Any]:
    done = subprocess.run(
        [
            sys.executable,
            measure_rewriting.__file__,
            table.metadata_location,
            str(scratch),
            str(128 * MB),
            str(64 * MB),
            way,
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    print(found)
    return found


@pytest.mark.parametrize("is_sorted", [False, True])
def test_memory_is_the_same_for_three_times_the_rows(
    catalog: CachingSqlCatalog, large_files: list[str], tmp_path: Path, is_sorted: bool
) -> None:
    found = []
    for files in (2, 6):
        table = of_files(catalog, large_files[:files], is_sorted=is_sorted)
        found.append(measured(table, tmp_path))
        assert found[-1]["rows"] == files * ROWS
        assert max(found[-1]["files"]) <= 1.1 * 64 * MB
        catalog.drop_table(str(NAME))
    small, large = (some["rise_mb"] for some in found)
    # What is decoded comes to it, and what the allocator keeps.
    assert large <= 128 * 3
    assert large - small <= 64


@pytest.mark.parametrize("files", [5, pytest.param(12, marks=pytest.mark.long)])
@pytest.mark.parametrize("is_one", [True, False], ids=["one delete file", "one for each data file"])
def test_memory_is_hardly_more_where_millions_of_rows_are_deleted(
    catalog: CachingSqlCatalog, tmp_path: Path, is_one: bool, files: int
) -> None:
    # Given files of a column of numbers, and delete files about every second row of all of them
    table = catalog.create_table(str(NAME), pa.schema([("id", pa.int64())]))
    rows = 2 * ROWS
    ids = pa.table([pa.array(np.arange(rows))], ["id"])
    for _ in range(files):
        ((file, _),) = write_data_files(table, ids, row_group_rows=rows)
        commit_files(table, Operation.APPEND, add=[file])
    without = measured(table, tmp_path)
    assert without["rows"] == files * rows
    data_files = [task.file for task in table.scan().plan_files()]
    for group in [data_files] if is_one else [[file] for file in data_files]:
        positions = {file.file_path: range(0, rows, 2) for file in group}
        deletes = write_position_deletes(table, positions, group[0])
        commit_files(table, Operation.DELETE, deletes=[deletes])

    found = measured(table, tmp_path)

    # Then a bit for each row comes to it, and batches of delete files that are read at once: held as numbers, the
    # positions of twelve files took 340 MB, and of five 140
    assert found["rows"] == files * rows // 2
    assert found["rise_mb"] - without["rise_mb"] <= 64


def with_long_texts(catalog: CachingSqlCatalog, folder: Path, files: int, columns: int, *, different: int) -> Table:
    """So many files of 100,000 rows: texts of 200 characters, 20 MB a column in memory, less in files."""
    names = [f"t{number}" for number in range(columns)]
    table = catalog.create_table(str(NAME), pa.schema([(name, pa.string()) for name in names]))
    for number in range(files):
        rng = np.random.default_rng(number)
        texts = np.array([f"{value:0200}" for value in range(different)], object)
        rows = pa.table([pa.array(texts[rng.integers(0, different, 100_000)]) for _ in names], names)
        with table.io.new_output(f"{folder}/{number}.parquet").create() as stream:
            pq.write_table(rows.cast(schema_to_pyarrow(table.schema())), stream, compression="zstd")
        commit_files(table, Operation.APPEND, add=[task_of(folder / f"{number}.parquet").file])
    return table


def test_merging_decodes_no_more_than_there_is_room_for(catalog: CachingSqlCatalog, tmp_path: Path) -> None:
    # Given files whose rows are a hundred times as large as their files: 640 MB in one row group
    table = with_long_texts(catalog, tmp_path, 32, 1, different=1000)

    found = measured(table, tmp_path, "merge")

    # Then they are left to what holds a few rows at a time
    assert "decoded" in found["why"]
    assert found["rise_mb"] <= 192


def test_merging_decodes_a_column_at_a_time(catalog: CachingSqlCatalog, tmp_path: Path) -> None:
    # Given rows that come to 320 MB, and to 20 MB a column
    table = with_long_texts(catalog, tmp_path, 1, 16, different=1000)

    found = measured(table, tmp_path, "merge")

    assert (found["rows"], found["why"]) == (100_000, "")
    assert found["rise_mb"] <= 192
