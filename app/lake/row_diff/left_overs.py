"""What is left of several batches, to be joined at once: few rows of each, whose keys are apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from app.lake.row_diff.feeding import Feed
from app.lake.row_diff.long_values import Originals, StandIns

# As many as are joined: more than a query costs, and still little beside what is held of a batch.
_MANY_ROWS = 100_000
# Rows of many columns, or of long ones, are many before that.
_MANY_BYTES = 64 * 1024 * 1024


class HasOriginals(Protocol):
    """Knows what stand-ins stand for."""

    def originals(self, stand_ins: StandIns) -> Originals:
        """What these stand for."""


class LeftOvers:
    """Rows of both sides with the feeds that they are of; nothing else of those is held any more."""

    def __init__(self) -> None:
        self._tables: list[tuple[pa.Table, pa.Table]] = []
        self._feeds: list[tuple[Feed, Feed]] = []
        self._rows = 0
        self._bytes = 0

    @property
    def rows(self) -> int:
        """How many are kept, of both sides together."""
        return self._rows

    @property
    def are_none(self) -> bool:
        """Whether there is nothing to be joined."""
        return self._rows == 0

    @property
    def are_many(self) -> bool:
        """Whether they are to be joined now."""
        return self._rows >= _MANY_ROWS or self.are_large

    @property
    def are_large(self) -> bool:
        """Whether they take as much memory as is to be held of them."""
        return self._bytes >= _MANY_BYTES

    def add(self, left: tuple[pa.Table, pa.Table], from_feed: Feed, to_feed: Feed) -> None:
        """Keep what is left of a batch."""
        rows = sum(table.num_rows for table in left)
        from_feed.let_go()
        to_feed.let_go()
        if rows:
            self._tables.append(left)
            self._feeds.append((from_feed, to_feed))
            self._rows += rows
            self._bytes += sum(table.nbytes for table in left)

    def tables(self) -> tuple[pa.Table, pa.Table]:
        """All rows of each side."""
        from_tables, to_tables = zip(*self._tables, strict=True)
        return pa.concat_tables(from_tables), pa.concat_tables(to_tables)

    def feeds(self) -> tuple[HasOriginals, HasOriginals]:
        """What knows the originals of each side."""
        from_feeds, to_feeds = self.all_feeds()
        return AnyOf(from_feeds), AnyOf(to_feeds)

    def all_feeds(self) -> tuple[list[Feed], list[Feed]]:
        """Those of each side."""
        return [feed for feed, _ in self._feeds], [feed for _, feed in self._feeds]

    def clear(self) -> None:
        """Keep nothing any more."""
        self._tables, self._feeds, self._rows, self._bytes = [], [], 0, 0


class AnyOf:
    """Feeds one of which has what is looked for."""

    def __init__(self, feeds: Sequence[HasOriginals]) -> None:
        self._feeds = feeds

    def originals(self, stand_ins: StandIns) -> Originals:
        """What these stand for, of any of them."""
        missing = {place: set(wanted) for place, wanted in stand_ins.items()}
        found: dict[tuple[int, bytes], bytes] = {}
        for feed in self._feeds:
            if not any(missing.values()):
                break
            known = feed.originals({place: wanted for place, wanted in missing.items() if wanted})
            found.update(known)
            for place, stand_in in known:
                missing[place].discard(stand_in)
        return found
