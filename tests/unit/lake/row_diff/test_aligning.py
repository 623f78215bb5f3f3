"""Leaving out rows that two sets have in common: how few are left of rows that come in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from app.lake.row_diff import aligning


def numbered(numbers: Sequence[int], *, name: str = "name") -> pa.Table:
    return pa.table({"c0": pa.array(numbers, pa.int64()), "c1": [f"{name} {number}" for number in numbers]})


def left_over(
    before: pa.Table, after: pa.Table, spans: Sequence[tuple[aligning.Span, aligning.Span]], keys: Sequence[int]
) -> tuple[pa.Table, pa.Table] | None:
    with ThreadPoolExecutor(2) as threads:
        return aligning.left_over(before, after, spans, keys, threads)


def left(before: pa.Table, after: pa.Table, keys: Sequence[int] = (0,)) -> tuple[list[int], list[int]] | None:
    spans = [((0, before.num_rows), (0, after.num_rows))]
    found = left_over(before, after, spans, keys)
    return None if found is None else (found[0]["c0"].to_pylist(), found[1]["c0"].to_pylist())


def test_of_rows_changed_taken_out_and_put_in_these_are_left() -> None:
    before = numbered(range(30_000))
    after = pa.concat_tables(
        [
            numbered(range(10)),
            numbered([10, 11, 12, 13, 14, 15], name="changed"),
            numbered(range(16, 9_000)),
            numbered([100_000, 100_001]),
            numbered(range(9_000, 20_000)),
            # From 20,000 to 20,899 taken out.
            numbered(range(20_900, 29_999)),
            numbered([29_999], name="changed"),
        ]
    )
    found = left(before, after)
    assert found is not None
    assert found[0] == [10, 11, 12, 13, 14, 15, *range(20_000, 20_900), 29_999]
    assert found[1] == [10, 11, 12, 13, 14, 15, 100_000, 100_001, 29_999]


def test_rows_after_more_than_is_looked_through_are_left_whole() -> None:
    before, after = numbered(range(60_000)), numbered([*range(50_000), *range(52_000, 60_000)])
    found = left(before, after)
    assert found is not None
    assert (found[0][0], len(found[0]), len(found[1])) == (50_000, 10_000, 8_000)


@pytest.mark.parametrize("step", [-1, 7_919], ids=["backwards", "shuffled"])
def test_rows_in_another_order_are_left_to_be_joined(step: int) -> None:
    before = numbered(range(20_000))
    assert left(before, before.take([(step * place) % 20_000 for place in range(20_000)])) is None


@pytest.mark.parametrize("keys", [(0,), (1,), ()], ids=["numbers", "texts", "no keys"])
@pytest.mark.parametrize("every", [10, 100, 1_000])
def test_what_looking_costs_does_not_grow_with_the_places_where_rows_were_taken_out(
    every: int, keys: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given rows of which one in so many was taken out
    numbers = range(100_000)
    before = numbered(numbers)
    after = numbered([number for number in numbers if number % every])
    looked_at = {"compared": 0, "searched": 0}
    rows_of, equal_of, equal = aligning._Alignment._rows, aligning._Pair.equal, aligning._equal

    def pieces(self: aligning._Pair, i: int, j: int, size: int) -> aligning.Mask:
        looked_at["compared"] += size
        return equal_of(self, i, j, size)

    def columns(ours: pa.ChunkedArray, theirs: pa.ChunkedArray) -> aligning.Mask:
        looked_at["compared"] += len(ours)
        return equal(ours, theirs)

    def rows(self: aligning._Alignment, side: int, first: int, count: int) -> list[tuple[object, ...]]:
        looked_at["searched"] += count
        return rows_of(self, side, first, count)

    monkeypatch.setattr(aligning._Pair, "equal", pieces)
    monkeypatch.setattr(aligning, "_equal", columns)
    monkeypatch.setattr(aligning._Alignment, "_rows", rows)
    # When the others are left out, or it is given up where a join costs less
    found = left(before, after, keys)
    # Then each cell was compared a few times at most, and few rows were looked at one by one
    assert 0 < looked_at["compared"] <= 8 * before.num_rows * before.num_columns
    assert looked_at["searched"] <= before.num_rows / 10
    assert found == (None if every <= 100 else ([*range(0, 100_000, every)], []))


def test_rows_whose_keys_are_in_step_are_left_where_another_column_differs() -> None:
    # Given rows of which some were taken out, and of others one of the columns was changed
    before = numbered(range(20_000)).append_column("c2", pa.array([None, 1.5, -0.0, 2.0] * 5_000))
    after = before.take([place for place in range(20_000) if place % 1_000])
    changed = pa.array([None if number % 700 == 0 else value for number, value in zip(*pairs(after), strict=True)])
    found = left(before, after.set_column(2, "c2", changed))
    differing = [number for number, value in zip(*pairs(after), strict=True) if number % 700 == 0 and value is not None]
    assert found == (sorted([*range(0, 20_000, 1_000), *differing]), differing)


def pairs(rows: pa.Table) -> tuple[list[int], list[float | None]]:
    return rows["c0"].to_pylist(), rows["c2"].to_pylist()


def test_many_small_groups_are_cut_out_of_their_tables_right() -> None:
    # Given chunks that are not those of the groups, with an empty group among them
    before = pa.concat_tables([numbered(range(start, start + 7)) for start in range(0, 700, 7)])
    after = pa.concat_tables([numbered(range(start, start + 11)) for start in range(0, 700, 11)]).slice(0, 700)
    spans = [((start, start + 10), (start, start + 10)) for start in range(0, 700, 10)]
    spans.insert(3, ((30, 30), (30, 30)))

    # Then each is compared with its own
    found = left_over(before, after, spans, [0])
    assert found is not None
    assert [table.num_rows for table in found] == [0, 0]
    # And what is in another group is not found
    shifted = [(spans[place][0], spans[place - 1][1]) for place in range(len(spans))]
    assert left_over(before, after, shifted, [0]) is None


def test_tables_without_columns_or_rows_have_nothing_left() -> None:
    assert left(numbered([]), numbered([])) == ([], [])


@pytest.mark.parametrize(
    "column",
    [
        pa.array([None, True, False]),
        pa.array([None, b"\x00", b""]),
        pa.array([None, 1, 2], pa.decimal128(38, 4)),
        pa.array([None, 1.5, -0.0], pa.float32()),
        pa.nulls(3),
    ],
    ids=lambda column: str(column.type),
)
def test_columns_of_every_type_of_the_engine_are_compared(column: pa.Array) -> None:
    before = pa.table({"c0": column})
    after = pa.table({"c0": pa.concat_arrays([column, column.slice(0, 1)])})
    found = left_over(before, after, [((0, 3), (0, 4))], [])
    assert found is not None
    assert (found[0].num_rows, found[1]["c0"].to_pylist()) == (0, [None])
