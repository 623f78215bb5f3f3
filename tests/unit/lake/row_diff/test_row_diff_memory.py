"""That memory is bounded, however many rows are in one group and however small they are in their files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from tests.unit.lake.local_tables import NAME
from tests.unit.lake.row_diff import measure_memory

pytestmark = pytest.mark.slow

MB = 1024 * 1024
ROOT = Path(__file__).parents[4]
ROWS, FILES = 1_000_000, 4
SCHEMA = pa.schema(
    [("id", pa.int64()), ("name", pa.string()), ("price", pa.float64()), ("day", pa.date32()), ("kind", pa.string())]
)


def chunks(seed: int, *, changed: bool, name_bytes: int = 0) -> Iterator[pa.Table]:
    """A million rows in no order; with `changed` every price is another one, or with long names one in a thousand."""
    ids = np.random.default_rng(7).permutation(ROWS)
    for part in np.array_split(ids, FILES):
        price = part.astype(np.float64)
        if changed:
            price = price + (1 if not name_bytes else part % 1000 == 0)
        names = pa.repeat("x" * name_bytes, len(part)) if name_bytes else [f"row {number:>20}" for number in part]
        kinds = np.array(["a", "b", "c"])[part % 3]
        yield pa.table([part, names, price, (part % 20_000).astype(np.int32), kinds], SCHEMA.names).cast(SCHEMA)


def measured(location: str, from_id: int, scratch: Path, keys: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, measure_memory.__file__, location, str(from_id), str(scratch), str(128 * MB), keys],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


CHANGED, SMALLER = ("all rows changed", 0, ROWS), ("texts a hundred times smaller in their files", 1000, ROWS // 1000)


@pytest.mark.parametrize(
    ("case", "name_bytes", "rows", "asked"),
    [
        (*CHANGED, ("id", "")),
        (*SMALLER, ("id",)),
        # It holds the same rows, and takes as long again.
        pytest.param(*SMALLER, ("",), marks=pytest.mark.long),
    ],
    ids=["all rows changed", "small texts by keys", "small texts without"],
)
def test_a_million_rows_a_side_in_one_group_take_little_memory(
    catalog: SqlCatalog, tmp_path: Path, case: str, name_bytes: int, rows: int, asked: tuple[str, ...]
) -> None:
    table = catalog.create_table(str(NAME), SCHEMA)
    for part in chunks(1, changed=False, name_bytes=name_bytes):
        table.append(part)
    first = table.metadata.snapshots[-1].snapshot_id
    with table.transaction() as transaction:
        transaction.delete("true")
        for part in chunks(1, changed=True, name_bytes=name_bytes):
            transaction.append(part)
    expected = {"id": [0, 0, rows], "": [rows, rows, None]}
    for keys in asked:
        found = measured(table.metadata_location, first, tmp_path, keys)
        assert found["rows"] == expected[keys], case
        assert found["peak_mb"] < 700, (case, keys, found)
        print(case, keys, found)
