"""Laws of joined Parquet files, of random rows and ways to write them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.lake.compact.copying.footers import read_footer
from app.lake.compact.copying.joinable import find_obstacle
from app.lake.compact.copying.obstacles import ObstacleKind
from tests.unit.lake.compact.parquet_files import (
    IO,
    READERS,
    filter_with_arrow,
    join,
    parts_of,
    rows_of,
    statistics_of,
    written,
)

# More of them by hand.
EXAMPLES = int(os.environ.get("STRATIGRAPH_TEST_JOIN_EXAMPLES", "30"))
SLOW = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])

pytestmark = pytest.mark.timeout(60 + 5 * EXAMPLES)

# Small enough that filters hit, with what is at the ends.
NUMBERS = st.integers(-3, 12) | st.sampled_from([-(2**63), 2**63 - 1])
TEXTS = st.sampled_from(["", "a", "b", "ab", "é", "😀", "\0", "z" * 100])
FLOATS = st.floats(width=64) | st.sampled_from([0.0, -0.0, 1.5, float("nan")])
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "n": (pa.int64(), NUMBERS),
    "t": (pa.string(), TEXTS),
    "f": (pa.float64(), FLOATS),
    "b": (pa.bool_(), st.booleans()),
    "raw": (pa.binary(), st.binary(max_size=4)),
    "day": (pa.date32(), st.dates()),
    "amount": (pa.decimal128(9, 2), st.decimals(-1000, 1000, places=2)),
    "list": (pa.list_(pa.int64()), st.lists(st.none() | NUMBERS, max_size=3)),
    "deep": (
        pa.struct([("x", pa.list_(pa.struct([("y", pa.string())])))]),
        st.fixed_dictionaries({"x": st.none() | st.lists(st.none() | st.fixed_dictionaries({"y": TEXTS}), max_size=2)}),
    ),
}


@st.composite
def options(draw: st.DrawFn, columns: list[str], with_statistics: bool) -> dict[str, Any]:
    """How to write a file, of what does not change its schema."""
    use_dictionary = draw(st.booleans())
    filtered = [name for name in columns if name in ("n", "t", "f", "raw")]
    with_bloom_filters = draw(st.lists(st.sampled_from(filtered), unique=True)) if filtered else []
    return {
        "compression": draw(st.sampled_from(["none", "snappy", "zstd", "gzip", "lz4", "brotli"])),
        "row_group_size": draw(st.integers(1, 40)),
        "use_dictionary": use_dictionary,
        "data_page_version": draw(st.sampled_from(["1.0", "2.0"])),
        "max_rows_per_page": draw(st.integers(1, 10)),
        "write_batch_size": 1,
        "write_page_index": draw(st.booleans()),
        "write_page_checksum": draw(st.booleans()),
        # Of all files or of none: others are not joined.
        "write_statistics": with_statistics,
        "use_byte_stream_split": ["f"] if "f" in columns and not use_dictionary and draw(st.booleans()) else False,
        "bloom_filter_options": {name: {"ndv": 20} for name in with_bloom_filters} or None,
        "sorting_columns": None,
    }


@st.composite
def sources(draw: st.DrawFn) -> list[tuple[pa.Table, dict[str, Any]]]:
    names = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=5, unique=True))
    schema = pa.schema([(name, COLUMNS[name][0]) for name in names])
    with_statistics = draw(st.sampled_from([True, True, False]))
    found = []
    for _ in range(draw(st.integers(1, 4))):
        count = draw(st.integers(0, 60))
        # A long file is a short one many times over: drawing is what takes long.
        columns = {
            name: (draw(st.lists(st.none() | COLUMNS[name][1], min_size=1, max_size=12)) * 60)[:count] for name in names
        }
        found.append((pa.table(columns, schema), draw(options(names, with_statistics))))
    return found


@SLOW
@given(files=sources(), data=st.data())
def test_joined_files_have_all_rows_and_all_that_was_said_of_them(
    files: list[tuple[pa.Table, dict[str, Any]]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # Given files of one schema, each written in its own way, joined
        paths = [written(Path(folder) / f"{number}.parquet", table, **how) for number, (table, how) in enumerate(files)]
        joined = Path(folder) / "joined.parquet"
        found = find_obstacle([read_footer(IO, str(path)) for path in paths])
        if found is not None:
            # Of NaN alone there are no statistics.
            assert found.kind is ObstacleKind.STATISTICS
            assert "f" in files[0][0].schema.names
            return
        told = join(paths, joined)

        # Then all readers have all rows, in their order
        expected = pa.concat_tables([table for table, _ in files])
        assert told.rows == expected.num_rows
        for name, read in READERS.items():
            assert rows_of(read(joined)) == rows_of(expected), name
        # And all that is said of them, byte for byte
        with_rows = [path for path, (table, _) in zip(paths, files, strict=True) if table.num_rows]
        assert statistics_of(joined) == [part for path in with_rows for part in statistics_of(path)]
        assert parts_of(joined) == [part for path in with_rows for part in parts_of(path)]
        # And what is joined can be read for its footer as any other, and says the same
        footer = read_footer(IO, str(joined), told.size_bytes)
        assert (footer.obstacle, footer.rows, len(footer.row_groups)) == (None, told.rows, told.row_groups)
        assert footer.row_group_bytes == sum(read_footer(IO, str(path)).row_group_bytes for path in paths)
        # And to filter while reading is to filter what was read
        where = data.draw(conditions(expected.schema.names))
        if where is not None:
            answer = rows_of(filtered(expected, where))
            for name, read in READERS.items():
                assert rows_of(read(joined, where)) == answer, name
            assert rows_of(filter_with_arrow(joined, where)) == answer


def conditions(names: list[str]) -> st.SearchStrategy[str | None]:
    """Conditions that all readers understand alike: none on floats, of which they order NaN differently."""
    found: list[st.SearchStrategy[str | None]] = []
    if "n" in names:
        found.append(st.builds(lambda sign, n: f"n {sign} {n}", st.sampled_from(["=", "<", ">="]), st.integers(-4, 13)))
    if "t" in names:
        texts = st.sampled_from(["", "a", "ab", "b", "é", "zz"])
        found.append(st.builds(lambda sign, text: f"t {sign} '{text}'", st.sampled_from(["=", "<", ">="]), texts))
    return st.one_of(found) if found else st.none()


def filtered(rows: pa.Table, where: str) -> pa.Table:
    """The rows for which it is true, in their order, by a reader that has no file to skip anything of."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("rows", rows.append_column("__place", pa.array(range(rows.num_rows), pa.int64())))
        places = connection.sql(f"SELECT __place FROM rows WHERE {where} ORDER BY __place").fetchall()
    return rows.take([place for (place,) in places]) if places else rows.slice(0, 0)
