"""Leaving out rows that two sets have in common, where they come in the same order, as when a file was written anew.

Copy-on-write leaves most rows of a file as they are, and where they are but for what was put in or taken out before
them. Such rows are found by comparing columns place by place, which costs a fraction of a join. A row that is left out
on one side is left out on the other, so that the difference of what is left is that of the whole; equal rows in another
order are merely not found.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import Executor
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

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
# Pieces up to which comparing them costs less than copying them into one.
_MOST_PIECES = 32
# Enough columns to know a row by.
_KNOWN_BY = 8
# Where more is left, the order is another one: to look further is in vain, and joining all of them costs no more.
_MOST_LEFT = 0.5

# What values are compared as, where they are not compared as they are.
_BITS = {
    pa.float16(): pa.int16(),
    pa.float32(): pa.int32(),
    pa.float64(): pa.int64(),
    pa.string(): pa.binary(),
    pa.large_string(): pa.large_binary(),
}

Mask = npt.NDArray[np.bool_]
# The first row and the one after the last.
Span = tuple[int, int]


def left_over(
    from_rows: pa.Table, to_rows: pa.Table, spans: Sequence[tuple[Span, Span]], keys: Sequence[int], threads: Executor
) -> tuple[pa.Table, pa.Table] | None:
    """Both tables, in the engine's form, without pairs of equal rows; None where too few are found to be worth it.

    Each of the `spans` is rows of the one and of the other that are looked at together, in one of the `threads`. Costs
    time linear in the rows, and memory for those that are left and for those of a span in each thread.
    """
    masks = [np.ones(rows.num_rows, dtype=bool) for rows in (from_rows, to_rows)]
    runs = [_Runs(_by_bits(rows)) for rows in (from_rows, to_rows)]

    def align(spans: tuple[Span, Span]) -> None:
        (from_first, from_end), (to_first, to_end) = spans
        _Alignment(
            runs[0].cut(from_first, from_end),
            runs[1].cut(to_first, to_end),
            masks[0][from_first:from_end],
            masks[1][to_first:to_end],
            keys,
        ).run()

    for _ in threads.map(align, spans):
        pass
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
    """Two runs of rows that are brought in step by their keys, or else by all columns; then the others are compared.

    Masks are of those that are left, all of them at first.
    """

    def __init__(
        self, from_rows: pa.Table, to_rows: pa.Table, from_mask: Mask, to_mask: Mask, keys: Sequence[int]
    ) -> None:
        self._sides = (from_rows, to_rows)
        self._masks = (from_mask, to_mask)
        self._ends = (from_rows.num_rows, to_rows.num_rows)
        # Of a column without a type there are only nulls, which are all equal.
        compared = [place for place, field in enumerate(from_rows.schema) if not pa.types.is_null(field.type)]
        in_step = [place for place in compared if place in keys] or compared
        self._steps = [_Pair(*(rows.column(place).combine_chunks() for rows in self._sides)) for place in in_step]
        self._others = [place for place in compared if place not in in_step]
        self._known_by = in_step[:_KNOWN_BY]
        self._spent_rows = 0

    def run(self) -> None:
        """Mark what is equal."""
        in_step = [np.zeros(end, dtype=bool) for end in self._ends]
        self._bring_in_step(in_step)
        if self._others:
            equal = self._compare_others(in_step)
            for pairs in in_step:
                pairs[pairs] = equal
        for mask, pairs in zip(self._masks, in_step, strict=True):
            mask[pairs] = False

    def _bring_in_step(self, in_step: Sequence[Mask]) -> None:
        """Mark pairs, each the next of both sides, until one ends, or they are out of step for good or too often."""
        i = j = looked_at = left = 0
        size = _CHUNK_ROWS
        worth_rows = max(_CHUNK_ROWS, _WORTH_TRYING * min(self._ends))
        while i < self._ends[0] and j < self._ends[1]:
            equal = self._compare(i, j, size)
            lost = _find_lost(equal)
            size = min(_CHUNK_ROWS, _FIRST_ROWS if lost is not None else 4 * size)
            found = equal if lost is None else equal[:lost]
            count = len(found)
            in_step[0][i : i + count] = found
            in_step[1][j : j + count] = found
            i, j, looked_at, left = i + count, j + count, looked_at + count, left + count - int(np.count_nonzero(found))
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
        """Which rows are equal in what brings them in step, from these two on."""
        size = min(most, self._ends[0] - i, self._ends[1] - j)
        equal = np.ones(size, dtype=bool)
        for pair in self._steps:
            equal &= pair.equal(i, j, size)
        return equal

    def _compare_others(self, in_step: Sequence[Mask]) -> Mask:
        """Which of the pairs are equal in the other columns: all at once, as calls cost more than what they compare."""
        sides = [
            _picked(rows, pairs)
            for rows, pairs in zip((side.select(self._others) for side in self._sides), in_step, strict=True)
        ]
        equal = np.ones(sides[0].num_rows, dtype=bool)
        for ours, theirs in zip(sides[0].columns, sides[1].columns, strict=True):
            # Most columns are equal as a whole, which costs less to find out than where they differ.
            if not ours.equals(theirs):
                equal &= _equal(ours, theirs)
        return equal

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


class _Pair:
    """A column of both sides, compared piece by piece."""

    def __init__(self, ours: pa.Array, theirs: pa.Array) -> None:
        self._arrays = (ours, theirs)
        self._values: tuple[npt.NDArray[np.generic], ...] | None = None
        if pa.types.is_integer(ours.type) and not ours.null_count and not theirs.null_count:
            # Of the pieces it is the calls that cost, of which numpy's are the cheaper ones.
            self._values = (ours.to_numpy(), theirs.to_numpy())

    def equal(self, i: int, j: int, size: int) -> Mask:
        """Which values are equal, from these two on."""
        if self._values is not None:
            return np.asarray(self._values[0][i : i + size] == self._values[1][j : j + size], dtype=bool)
        return _equal(self._arrays[0].slice(i, size), self._arrays[1].slice(j, size))


def _picked(rows: pa.Table, pairs: Mask) -> pa.Table:
    """The rows in step: cut out where they are in a few pieces, and else copied."""
    edges = np.flatnonzero(np.diff(pairs)) + 1
    if len(edges) > _MOST_PIECES:
        return rows.filter(pa.array(pairs))
    cuts = [0, *edges.tolist(), len(pairs)]
    pieces = [rows.slice(first, end - first) for first, end in pairwise(cuts) if end > first and pairs[first]]
    return pa.concat_tables(pieces) if pieces else rows.slice(0, 0)


def _equal(ours: pa.Array | pa.ChunkedArray, theirs: pa.Array | pa.ChunkedArray) -> Mask:
    same = pc.equal(ours, theirs)
    if ours.null_count or theirs.null_count:
        same = pc.or_(pc.fill_null(same, False), pc.and_(pc.is_null(ours), pc.is_null(theirs)))
    mask: Mask = np.asarray(same)
    return mask


def _find_lost(equal: Mask) -> int | None:
    """Where several rows in a row differ; None where no more do than have other values."""
    differs = ~equal
    run = differs[: max(0, len(differs) - _LOST_ROWS + 1)].copy()
    for further in range(1, _LOST_ROWS):
        run &= differs[further : further + len(run)]
    return int(np.argmax(run)) if run.any() else None


def _by_bits(rows: pa.Table) -> pa.Table:
    """Floats as the bits that they are: equal bits are equal values, also of NaN, and never zeros of two signs.

    Texts as their bytes, for they may be no UTF-8 yet.
    """
    for place, field in enumerate(rows.schema):
        kind = _BITS.get(field.type)
        if kind is not None:
            chunks = [chunk.view(kind) for chunk in rows.column(place).chunks]
            rows = rows.set_column(place, field.name, pa.chunked_array(chunks, kind))
    return rows
