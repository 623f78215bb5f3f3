"""Leaving out rows that two sets have in common, where they come in the same order, as when a file was written anew.

Copy-on-write leaves most rows of a file as they are, and where they are but for what was put in or taken out before
them. Such rows are found by comparing columns place by place, which costs a fraction of a join. A row that is left out
on one side is left out on the other, so that the difference of what is left is that of the whole; equal rows in another
order are merely not found.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from app.lake.row_diff.engine_values import is_float

# So many are compared before it is asked whether the two are still in step; fewer where they just were not.
_CHUNK_ROWS = 8192
_FIRST_ROWS = 256
# So many rows in a row that differ look like rows put in or taken out, not like rows with other values.
_LOST_ROWS = 4
# How far to look for where it goes on, at first and at most; and how many rows have to be equal there.
_WINDOWS = (8, 64, 1024)
_FOUND_ROWS = 3
# What looking for it costs, in rows that could be joined meanwhile: so much each time, and for each row looked at.
_SEARCH_ROWS, _SEARCHED_ROW_ROWS = 512, 4
# The share of all rows up to which such costs are borne even where they come to more than what was gained so far.
_WORTH_TRYING = 0.25
# Enough columns to know a row by.
_KNOWN_BY = 8
# Where more is left, the order is another one: to look further is in vain, and joining all of them costs no more.
_MOST_LEFT = 0.5

Mask = npt.NDArray[np.bool_]
# The first row and the one after the last.
Span = tuple[int, int]


def left_over(
    from_rows: pa.Table, to_rows: pa.Table, spans: Sequence[tuple[Span, Span]], keys: Sequence[int]
) -> tuple[pa.Table, pa.Table] | None:
    """Both tables, in the engine's form, without pairs of equal rows; None where too few are found to be worth it.

    Each of the `spans` is rows of the one and of the other that are looked at together. Costs time linear in the rows,
    and memory for those that are left.
    """
    masks = [np.ones(rows.num_rows, dtype=bool) for rows in (from_rows, to_rows)]
    runs = [_Runs(_by_bits(rows)) for rows in (from_rows, to_rows)]
    for (from_first, from_end), (to_first, to_end) in spans:
        _Alignment(
            runs[0].cut(from_first, from_end),
            runs[1].cut(to_first, to_end),
            masks[0][from_first:from_end],
            masks[1][to_first:to_end],
            keys,
        ).run()
    if sum(int(np.count_nonzero(mask)) for mask in masks) > _MOST_LEFT * sum(map(len, masks)):
        return None
    left = [rows.filter(pa.array(mask)) for rows, mask in zip((from_rows, to_rows), masks, strict=True)]
    return left[0], left[1]


def is_increasing(rows: pa.Table) -> bool:
    """Whether these are one column of integers, each greater than the one before: unique, and without nulls."""
    if rows.num_columns != 1 or not pa.types.is_integer(rows.schema.field(0).type) or rows.column(0).null_count:
        return False
    last = None
    for chunk in rows.column(0).chunks:
        values = chunk.to_numpy()
        if not len(values):
            continue
        if (last is not None and values[0] <= last) or not bool(np.all(values[1:] > values[:-1])):
            return False
        last = values[-1]
    return True


class _Runs:
    """A table of many chunks, cut in time that does not grow with their number."""

    def __init__(self, rows: pa.Table) -> None:
        self._empty = rows.slice(0, 0)
        self._batches = rows.to_batches()
        self._starts = list(accumulate((batch.num_rows for batch in self._batches), initial=0))

    def cut(self, first: int, end: int) -> pa.Table:
        """The rows from `first` to before `end`."""
        found = []
        place = max(0, bisect_right(self._starts, first) - 1)
        while place < len(self._batches) and self._starts[place] < end:
            begin = max(0, first - self._starts[place])
            found.append(self._batches[place].slice(begin, end - self._starts[place] - begin))
            place += 1
        return pa.Table.from_batches(found, self._empty.schema) if found else self._empty


class _Alignment:
    """Two runs of rows in step; masks are of those that are left, all of them at first."""

    def __init__(
        self, from_rows: pa.Table, to_rows: pa.Table, from_mask: Mask, to_mask: Mask, keys: Sequence[int]
    ) -> None:
        self._sides = (from_rows, to_rows)
        self._masks = (from_mask, to_mask)
        self._ends = (from_rows.num_rows, to_rows.num_rows)
        # Of a column without a type there are only nulls, which are all equal.
        self._have_nulls = {
            place: any(rows.column(place).null_count for rows in self._sides)
            for place, field in enumerate(from_rows.schema)
            if not pa.types.is_null(field.type)
        }
        self._spent_rows = 0
        self._known_by = [*keys, *(place for place in range(from_rows.num_columns) if place not in keys)][:_KNOWN_BY]

    def run(self) -> None:
        """Mark what is equal, until one of the two ends, or they are out of step for good or too often."""
        i = j = looked_at = left = 0
        size = _CHUNK_ROWS
        worth_rows = max(_CHUNK_ROWS, _WORTH_TRYING * min(self._ends))
        while i < self._ends[0] and j < self._ends[1]:
            equal = self._compare(i, j, size)
            lost = _find_lost(equal)
            size = min(_CHUNK_ROWS, _FIRST_ROWS if lost is not None else 4 * size)
            in_step = equal if lost is None else equal[:lost]
            count = len(in_step)
            self._masks[0][i : i + count] = ~in_step
            self._masks[1][j : j + count] = ~in_step
            i, j, looked_at, left = i + count, j + count, looked_at + count, left + int(np.count_nonzero(~in_step))
            if lost is not None:
                step = self._find_step(i, j)
                if step is None:
                    return
                i, j = i + step[0], j + step[1]
                looked_at, left = looked_at + max(step), left + max(step)
            if looked_at >= _CHUNK_ROWS and left > _MOST_LEFT * looked_at:
                return
            if self._spent_rows > max(looked_at, worth_rows):
                return

    def _compare(self, i: int, j: int, most: int) -> Mask:
        """Which rows are equal, from these two on."""
        size = min(most, self._ends[0] - i, self._ends[1] - j)
        equal = None
        for place, has_nulls in self._have_nulls.items():
            ours, theirs = (rows.column(place).slice(at, size) for rows, at in zip(self._sides, (i, j), strict=True))
            same = pc.equal(ours, theirs)
            if has_nulls:
                same = pc.or_(pc.fill_null(same, False), pc.and_(pc.is_null(ours), pc.is_null(theirs)))
            equal = same if equal is None else pc.and_(equal, same)
        return np.ones(size, dtype=bool) if equal is None else np.array(equal)

    def _find_step(self, i: int, j: int) -> tuple[int, int] | None:
        """How many rows to pass over on each side, the fewest, for both to be in step again."""
        for window in _WINDOWS:
            self._spent_rows += _SEARCH_ROWS + _SEARCHED_ROW_ROWS * window
            ours, theirs = self._rows(0, i, window), self._rows(1, j, window)
            places: dict[tuple[object, ...], int] = {}
            for place, row in enumerate(theirs):
                places.setdefault(row, place)
            steps = [
                (skipped, place)
                for skipped, row in enumerate(ours)
                if (place := places.get(row, 0)) + skipped > 0
                and ours[skipped : skipped + _FOUND_ROWS] == theirs[place : place + _FOUND_ROWS]
            ]
            if steps:
                return min(steps, key=sum)
        return None

    def _rows(self, side: int, first: int, count: int) -> list[tuple[object, ...]]:
        columns = [self._sides[side].column(place).slice(first, count).to_pylist() for place in self._known_by]
        return list(zip(*columns, strict=True))


def _find_lost(equal: Mask) -> int | None:
    """Where several rows in a row differ; None where no more do than have other values."""
    differs = ~equal
    run = differs[: max(0, len(differs) - _LOST_ROWS + 1)].copy()
    for further in range(1, _LOST_ROWS):
        run &= differs[further : further + len(run)]
    return int(np.argmax(run)) if run.any() else None


def _by_bits(rows: pa.Table) -> pa.Table:
    """Floats as the bits that they are: equal bits are equal values, also of NaN, and never zeros of two signs."""
    for place, field in enumerate(rows.schema):
        if is_float(field.type):
            kind = pa.int64() if field.type.bit_width == 64 else pa.int32()
            chunks = [chunk.view(kind) for chunk in rows.column(place).chunks]
            rows = rows.set_column(place, field.name, pa.chunked_array(chunks, kind))
    return rows
