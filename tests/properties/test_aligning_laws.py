"""Laws of leaving out rows that two sets have in common: the difference of what is left is that of the whole."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from app.lake.row_diff import aligning

Row = tuple[int | None, float | None, str | None]
SCHEMA = pa.schema([("c0", pa.int64()), ("c1", pa.float64()), ("c2", pa.string())])
NAN_OF_OTHER_BITS = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001))[0]

values = st.tuples(
    st.none() | st.integers(0, 3),
    st.none() | st.sampled_from([0.0, -0.0, 1.5, math.nan, NAN_OF_OTHER_BITS]),
    st.none() | st.sampled_from(["", "a", "b"]),
)


def bits(row: Row) -> tuple[object, ...]:
    """A row that is equal to another just when they are so by their bits."""
    return row[0], None if row[1] is None else struct.pack("<d", row[1]), row[2]


@st.composite
def edited(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """Rows, and the same ones with some changed, taken out and put in."""
    before = draw(st.lists(values, max_size=40))
    after: list[Row] = []
    for row in before:
        what = draw(st.sampled_from(["keep"] * 8 + ["change", "take out", "put in before"]))
        after += [draw(values)] if what in ("change", "put in before") else []
        after += [row] if what in ("keep", "put in before") else []
    return before, after


def table(rows: Sequence[Row], chunk: int) -> pa.Table:
    batches = [
        pa.RecordBatch.from_arrays(
            [
                pa.array([row[place] for row in rows[start : start + chunk]], SCHEMA.field(place).type)
                for place in range(3)
            ],
            schema=SCHEMA,
        )
        for start in range(0, len(rows), chunk)
    ]
    return pa.Table.from_batches(batches, SCHEMA)


def counted(rows: pa.Table) -> Counter[tuple[object, ...]]:
    return Counter(map(bits, zip(*(column.to_pylist() for column in rows.columns), strict=True)))


@given(
    edited() | st.tuples(st.lists(values, max_size=40), st.lists(values, max_size=40)),
    st.integers(1, 50),
    st.sampled_from([1, 3, 8, 8192]),
    st.sampled_from([(), (0,), (2, 0)]),
    st.data(),
)
def test_what_is_left_out_on_one_side_is_left_out_on_the_other(
    both: tuple[list[Row], list[Row]], chunk: int, chunk_rows: int, keys: tuple[int, ...], data: st.DataObject
) -> None:
    before, after = both
    cuts = [data.draw(st.integers(0, len(rows))) for rows in both]
    spans = [((0, cuts[0]), (0, cuts[1])), ((cuts[0], len(before)), (cuts[1], len(after)))]
    with (
        ThreadPoolExecutor(2) as threads,
        patch.object(aligning, "_CHUNK_ROWS", chunk_rows),
        patch.object(aligning, "_MOST_LEFT", 1),
    ):
        left = aligning.left_over(table(before, chunk), table(after, chunk), spans, keys, threads)
    assert left is not None
    ours, theirs = counted(table(before, chunk)), counted(table(after, chunk))
    assert counted(left[0]) <= ours
    assert counted(left[1]) <= theirs
    assert ours - counted(left[0]) == theirs - counted(left[1])


@given(st.lists(st.none() | st.integers(-3, 3), max_size=8), st.integers(1, 4))
def test_increasing_is_without_nulls_and_doubles(numbers: list[int | None], chunk: int) -> None:
    chunks = [pa.array(numbers[start : start + chunk], pa.int64()) for start in range(0, len(numbers), chunk)]
    rows = pa.table({"c0": pa.chunked_array(chunks, pa.int64())})
    expected = None not in numbers and numbers == sorted(set(numbers))  # type: ignore[type-var]
    assert aligning.is_increasing(rows) == expected
