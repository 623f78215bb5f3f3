"""Groups of files in batches that are compared at once, the next one being read while one is compared."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from app.domain.row_ranges import Group
from app.lake.row_diff.aligning import Span, left_over
from app.lake.row_diff.feeding import Feed, OnRead
from app.lake.row_diff.planning import PlannedSide, RowDiffPlan

# Of both sides together, up to which groups are put into one batch: more is more memory, and a later start of comparing
# what was read; less costs the time of the engine's queries.
BATCH_ROWS = 500_000
# What is held of one batch. A group of more is streamed: its tables fall out of the processor's caches in any case.
HELD_ROWS = 1_000_000
BATCH_BYTES = 48 * 1024 * 1024
_READERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Both sides of what is compared at once; `spans` are the rows of each group on the one and on the other."""

    groups: tuple[Group, ...]
    from_feed: Feed
    to_feed: Feed
    size_bytes: int
    spans: tuple[tuple[Span, Span], ...]
    readers: ThreadPoolExecutor

    @property
    def is_streamed(self) -> bool:
        """Whether there is more than is held."""
        return self.from_feed.held() is None or self.to_feed.held() is None

    def left_over(self, keys: Sequence[int]) -> tuple[pa.Table, pa.Table] | None:
        """The rows that are not seen to be on both sides; None where they are streamed, or too many to be worth it."""
        sides = self.from_feed.held(), self.to_feed.held()
        if sides[0] is None or sides[1] is None:
            return None
        return left_over(sides[0], sides[1], self.spans, keys, self.readers)


def batches_of(
    plan: RowDiffPlan,
    groups: Iterable[Group],
    *,
    is_stopped: Callable[[], bool],
    on_read: OnRead,
    on_rows: Callable[[int], None],
) -> Generator[Batch, None, None]:
    """All batches of these groups. To be closed: what is being read ahead is then given up."""
    given_up = threading.Event()
    readers = ThreadPoolExecutor(_READERS, thread_name_prefix="row-diff-")

    def feed(side: PlannedSide, places: Sequence[int], *, is_held: bool) -> Feed:
        made = Feed(
            side,
            places,
            readers=readers if is_held else None,
            is_stopped=lambda: is_stopped() or given_up.is_set(),
            on_read=on_read,
            on_rows=on_rows,
        )
        made.prefetch()
        return made

    try:
        ahead: Batch | None = None
        for batch in _batches(plan, groups):
            holds = is_held(plan, batch)
            from_feed = feed(plan.from_side, [place for g in batch for place in g.from_places], is_held=holds)
            to_feed = feed(plan.to_side, [place for g in batch for place in g.to_places], is_held=holds)
            if ahead is not None:
                yield ahead
            ahead = Batch(
                groups=tuple(batch),
                from_feed=from_feed,
                to_feed=to_feed,
                size_bytes=sum(map(plan.bytes_of, batch)),
                spans=tuple(_spans_of(plan, batch)),
                readers=readers,
            )
        if ahead is not None:
            yield ahead
    except BaseException:
        # Also where it is closed. After its end feeds are still asked for originals.
        given_up.set()
        raise
    finally:
        readers.shutdown(cancel_futures=True)


def is_held(plan: RowDiffPlan, groups: Sequence[Group]) -> bool:
    """Whether the rows of these groups are held together, as far as manifests tell how much they are."""
    return sum(map(plan.bytes_of, groups)) <= BATCH_BYTES and sum(map(plan.rows_of, groups)) <= HELD_ROWS


def _batches(plan: RowDiffPlan, groups: Iterable[Group]) -> Iterator[list[Group]]:
    batch: list[Group] = []
    rows = size_bytes = 0
    for group in groups:
        more_rows, more_bytes = plan.rows_of(group), plan.bytes_of(group)
        if batch and (rows + more_rows > BATCH_ROWS or size_bytes + more_bytes > BATCH_BYTES):
            yield batch
            batch, rows, size_bytes = [], 0, 0
        batch.append(group)
        rows, size_bytes = rows + more_rows, size_bytes + more_bytes
    if batch:
        yield batch


def _spans_of(plan: RowDiffPlan, groups: Sequence[Group]) -> Iterator[tuple[Span, Span]]:
    first = [0, 0]
    for group in groups:
        spans = []
        for number, (side, places) in enumerate(((plan.from_side, group.from_places), (plan.to_side, group.to_places))):
            end = first[number] + sum(side.parts[place].rows for place in places)
            spans.append((first[number], end))
            first[number] = end
        yield spans[0], spans[1]
