"""Laws of when a file is full, with sizes that nobody knows before they are written."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from app.domain.compaction.rolling import Rolling, RowGroupLimits

TARGET = 1_000_000
BATCH_ROWS, ROW_BYTES = 1000, 100


def written(batches: list[tuple[float, float]], *, outputs: int, memory_bytes: int, begun: int = 0) -> list[int]:
    """Sizes of the files that batches of a thousand rows make; each has bytes written for one decoded, and a weight.

    Up to `begun` row groups are written later than they are begun, as where several are encoded at once.
    """
    limits = RowGroupLimits(rows=10**6, file_bytes=TARGET // 4, memory_bytes=memory_bytes)
    rolling = Rolling(target_bytes=TARGET, outputs=outputs, weight=sum(w for _, w in batches), limits=limits)
    files, size = [], 0
    buffer = [0, 0, 0.0]
    encoded = 0.0
    encoding: deque[int] = deque()

    def write(but: int = 0) -> None:
        nonlocal size
        while len(encoding) > but:
            more = encoding.popleft()
            if not rolling.has_room_for(more):
                close()
            size += more
            rolling.group_written(size)

    def flush() -> None:
        nonlocal buffer, encoded
        if buffer[0]:
            rolling.group_begun(buffer[2])
            encoding.append(int(encoded))
            buffer, encoded = [0, 0, 0.0], 0.0
            write(but=begun)
            if rolling.is_full:
                write()
                if rolling.is_full:
                    close()

    def close() -> None:
        nonlocal size
        if size:
            files.append(size)
            rolling.file_closed()
        size = 0

    for growth, weight in batches:
        rows, rest = BATCH_ROWS, weight
        while rows:
            share = rolling.share_for(
                rows, rows * ROW_BYTES, rest, buffered=(int(buffer[0]), int(buffer[1]), buffer[2])
            )
            if share < 1 and rolling.needs_what_was_begun:
                write()
                continue
            taken = int(rows * share) or (0 if buffer[0] else 1)
            part = rest * taken / rows
            buffer = [buffer[0] + taken, buffer[1] + taken * ROW_BYTES, buffer[2] + part]
            encoded += taken * ROW_BYTES * growth
            rows, rest = rows - taken, rest - part
            if rows:
                flush()
    flush()
    write()
    close()
    return files


GROWTHS = st.floats(0.001, 1.3)
BEGUN = st.integers(0, 3)


@given(st.lists(st.tuples(GROWTHS, st.floats(1, 200_000)), min_size=1, max_size=100), st.integers(1, 12), BEGUN)
def test_no_file_is_too_large_whatever_comes(batches: list[tuple[float, float]], outputs: int, begun: int) -> None:
    sizes = written(batches, outputs=outputs, memory_bytes=400_000, begun=begun)
    assert max(sizes, default=0) <= TARGET * 1.1 + ROW_BYTES * 1.3


@given(GROWTHS, st.floats(0.3, 3), st.integers(1, 100), BEGUN)
def test_of_even_rows_there_are_as_few_files_as_can_be_and_alike(
    growth: float, ratio: float, number: int, begun: int
) -> None:
    weight = BATCH_ROWS * ROW_BYTES * growth / ratio
    total = BATCH_ROWS * ROW_BYTES * growth * number
    least = max(1, -int(-total // TARGET))
    sizes = written([(growth, weight)] * number, outputs=least, memory_bytes=400_000, begun=begun)
    # One more where they would be filled to the last byte.
    assert len(sizes) <= least + (total > 0.97 * least * TARGET)
    # What is collected before the first row group is written is as much as its weight says.
    is_foreseen = begun == 0 or ratio <= 1.1
    assert max(sizes) - min(sizes) <= 0.15 * TARGET or len(sizes) > least or not is_foreseen
