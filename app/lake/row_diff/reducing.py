"""What is to be joined of many files whose keys are in no order: all but the rows that a file and the one that was made
of it have in common.

Where keys are in no order, those of each file may be in any other one, and all rows would have to be joined at once.
But rows that are equal on both sides may be left out wherever they are, and copy-on-write leaves most of a file as it
was: so files that look alike are compared first, each with its counterpart (`aligning`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa

from app.domain.file_pairs import pair_alike
from app.domain.row_ranges import Group
from app.lake.row_diff.batching import Batch, batches_of, is_held
from app.lake.row_diff.engine import Source
from app.lake.row_diff.feeding import Feed, OnRead, telling_failures
from app.lake.row_diff.known_keys import KnownKeys
from app.lake.row_diff.left_overs import AnyOf, HasOriginals, LeftOvers
from app.lake.row_diff.planning import PlannedSide, RowDiffPlan

# The share of the bytes in which nothing was found to be left out, from which on others are not tried.
_MOST_IN_VAIN = 0.1
# Of more columns with bounds, no more are looked at: thousands of files would have millions of bounds.
_MOST_MARKED = 32
# As many as are held; of other files all rows are joined then.
_MOST_LEFT_ROWS = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Rows that are left of some files, in memory, and all rows of the others, as streams."""

    left: LeftOvers
    from_feed: Feed
    to_feed: Feed

    @property
    def rows(self) -> tuple[int, int]:
        """How many there are on each side."""
        from_rows, to_rows = self._held
        return from_rows.num_rows + self.from_feed.rows, to_rows.num_rows + self.to_feed.rows

    def sources(self) -> tuple[Source, Source]:
        """What opens them for the engine."""
        from_rows, to_rows = self._held
        return _chained(from_rows, self.from_feed), _chained(to_rows, self.to_feed)

    def feeds(self) -> tuple[HasOriginals, HasOriginals]:
        """What knows the originals of each side."""
        from_feeds, to_feeds = self.left.all_feeds()
        return AnyOf([*from_feeds, self.from_feed]), AnyOf([*to_feeds, self.to_feed])

    @property
    def _held(self) -> tuple[pa.Table, pa.Table]:
        if self.left.are_none:
            return self.from_feed.schema.empty_table(), self.to_feed.schema.empty_table()
        return self.left.tables()


class Reducing:
    """Compares files with their counterparts. Each is read once; one with which that is in vain, once more.

    `keys` are the places of key columns, none where rows are a multiset. `on_read` and `on_rows` are those of feeds,
    and `on_compared` is told of rows that need not be read again.
    """

    def __init__(
        self,
        plan: RowDiffPlan,
        keys: Sequence[int],
        *,
        is_stopped: Callable[[], bool],
        on_read: OnRead,
        on_rows: Callable[[int], None],
        on_compared: Callable[[int], None],
    ) -> None:
        self._plan = plan
        self._keys = keys
        self._is_stopped = is_stopped
        self._on_read = on_read
        self._on_rows = on_rows
        self._on_compared = on_compared
        self._is_enough = False

    def rest_of(self, groups: Sequence[Group], known: KnownKeys | None) -> Rest | None:
        """What is left of these files; None where that is all. The keys of the later side are known then.

        Raises:
            As `RowDiffRun.run`.
        """
        places = [
            {place for group in groups for place in group.from_places},
            {place for group in groups for place in group.to_places},
        ]
        pairs = self._pairs(sorted(places[0]), sorted(places[1]))
        most_in_vain = _MOST_IN_VAIN * sum(map(self._plan.bytes_of, groups))
        left, found, in_vain = LeftOvers(), 0, 0
        batches = batches_of(
            self._plan,
            self._until_enough(pairs),
            is_stopped=self._is_stopped,
            on_read=self._on_read,
            on_rows=self._on_rows,
        )
        with contextlib.closing(batches):
            for batch in batches:
                if self._leave_out(batch, left, known):
                    found += batch.size_bytes
                    for group in batch.groups:
                        places[0].difference_update(group.from_places)
                        places[1].difference_update(group.to_places)
                else:
                    in_vain += batch.size_bytes
                is_full = left.rows > _MOST_LEFT_ROWS or left.are_large
                self._is_enough = is_full or in_vain > max(found, most_in_vain)
        if not found:
            return None
        rest = Rest(
            left=left,
            from_feed=self._stream(self._plan.from_side, sorted(places[0])),
            to_feed=self._stream(self._plan.to_side, sorted(places[1])),
        )
        if known is not None:
            with telling_failures(rest.from_feed, rest.to_feed):
                if places[0]:
                    known.look_at(rest.from_feed.open)
                if places[1]:
                    known.add(rest.to_feed.open)
        return rest

    def _pairs(self, from_places: Sequence[int], to_places: Sequence[int]) -> list[Group]:
        others = (place for place in range(len(self._plan.columns.names)) if place not in self._keys)
        columns = [*self._keys, *others]
        marks = [
            [_marks(side, place, columns) for place in places]
            for side, places in ((self._plan.from_side, from_places), (self._plan.to_side, to_places))
        ]
        pairs = [
            Group(from_places=(from_places[ours],), to_places=(to_places[theirs],))
            for ours, theirs in pair_alike(marks[0], marks[1])
        ]
        # Larger ones are not held, and so not brought in step.
        return [pair for pair in pairs if is_held(self._plan, [pair])]

    def _until_enough(self, groups: Sequence[Group]) -> Iterator[Group]:
        for group in groups:
            if self._is_enough:
                return
            yield group

    def _leave_out(self, batch: Batch, left: LeftOvers, known: KnownKeys | None) -> bool:
        """Keep what is left of a batch; False where that is too much, or all."""
        rows, later = batch.left_over(self._keys), batch.to_feed.held()
        if rows is None or later is None:
            batch.from_feed.let_go()
            batch.to_feed.let_go()
            return False
        batch.from_feed.check(rows[0])
        batch.to_feed.check(rows[1])
        if known is not None:
            names = [f"c{place}" for place in self._keys]
            keys = later.select(names)
            batch.to_feed.check(keys)
            known.add(lambda _: keys)
            known.look_at(lambda _: rows[0].select(names))
        left.add(rows, batch.from_feed, batch.to_feed)
        self._on_compared(batch.from_feed.rows + batch.to_feed.rows)
        return True

    def _stream(self, side: PlannedSide, places: Sequence[int]) -> Feed:
        return Feed(
            side,
            places,
            readers=None,
            is_stopped=self._is_stopped,
            on_read=self._on_read,
            on_rows=self._on_rows,
        )


def _marks(side: PlannedSide, place: int, columns: Sequence[int]) -> set[Hashable]:
    """What its manifest tells of the values of a file in the first of these columns; nothing of one of which only some
    rows are meant.
    """
    part = side.parts[place]
    if part.only is not None:
        return set()
    lower, upper = part.task.file.lower_bounds or {}, part.task.file.upper_bounds or {}
    told = ((column, side.schema.fields[column].field_id) for column in columns)
    bounded = ((column, field_id) for column, field_id in told if field_id in lower or field_id in upper)
    return {
        (column, end, bounds[field_id])
        for column, field_id in islice(bounded, _MOST_MARKED)
        for end, bounds in enumerate((lower, upper))
        if field_id in bounds
    }


def _chained(rows: pa.Table, feed: Feed) -> Source:
    """These rows, and all of a stream behind them."""

    def opened(columns: Sequence[int]) -> pa.Table | pa.RecordBatchReader:
        table = rows.select([f"c{place}" for place in columns])
        if not feed.rows:
            return table
        schema = pa.schema([feed.schema.field(place) for place in columns])
        return pa.RecordBatchReader.from_batches(schema, _both(table, feed.open(columns)))

    return opened


def _both(table: pa.Table, stream: pa.Table | pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    yield from table.to_batches()
    yield from stream.to_batches() if isinstance(stream, pa.Table) else stream
