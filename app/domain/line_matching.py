"""Which lines of two texts are the same ones, in bounded time.

`difflib` takes time with the square of the lines, and worse where many are alike. Here lines that both texts have just
once are matched first (Bram Cohen's patience diff), and `difflib` sees only what is left between them, as long as that
is cheap. What would be too dear is taken for different as a whole: then the difference is longer than it has to be, and
still right.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence
from difflib import SequenceMatcher

# Steps of about a tenth of a microsecond.
MAX_STEPS = 10_000_000

# The places of a match in both texts, and how many lines it has.
Block = tuple[int, int, int]
_Range = tuple[int, int, int, int]


def match_lines(before: Sequence[Hashable], after: Sequence[Hashable], *, max_steps: int = MAX_STEPS) -> list[Block]:
    """The runs of lines that are the same in both, in order, as long as can be."""
    found: list[Block] = []
    steps_left = max_steps
    pending: list[_Range] = [(0, len(before), 0, len(after))]
    while pending:
        low, high, other_low, other_high = pending.pop()
        start = low
        while low < high and other_low < other_high and before[low] == after[other_low]:
            low, other_low = low + 1, other_low + 1
        found.append((start, other_low - (low - start), low - start))
        end = high
        while low < high and other_low < other_high and before[high - 1] == after[other_high - 1]:
            high, other_high = high - 1, other_high - 1
        found.append((high, other_high, end - high))
        steps_left -= high - low + other_high - other_low
        if low == high or other_low == other_high or steps_left < 0:
            continue
        ours, theirs = before[low:high], after[other_low:other_high]
        if anchors := _unique_matches(ours, theirs):
            pending += _between(anchors, (low, high, other_low, other_high))
            found += [(low + place, other_low + other, 1) for place, other in anchors]
        elif (cost := _cost(ours, theirs)) <= steps_left:
            steps_left -= cost
            blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
            found += [(low + place, other_low + other, size) for place, other, size in blocks]
    return _joined(found)


def _unique_matches(before: Sequence[Hashable], after: Sequence[Hashable]) -> list[tuple[int, int]]:
    """The places of lines that each text has once: the longest series that is in order in both."""
    counts, other_counts = Counter(before), Counter(after)
    places = {line: place for place, line in enumerate(after) if other_counts[line] == 1}
    pairs = [(place, places[line]) for place, line in enumerate(before) if counts[line] == 1 and line in places]
    # Longest increasing subsequence: the best series of each length ends as low as can be.
    ends: list[int] = []
    at: list[int] = []
    previous: list[int] = []
    for number, (_, other) in enumerate(pairs):
        length = bisect_left(ends, other)
        previous.append(at[length - 1] if length else -1)
        ends[length : length + 1] = [other]
        at[length : length + 1] = [number]
    series: list[tuple[int, int]] = []
    number = at[-1] if at else -1
    while number >= 0:
        series.append(pairs[number])
        number = previous[number]
    return series[::-1]


def _between(anchors: Sequence[tuple[int, int]], whole: _Range) -> list[_Range]:
    low, high, other_low, other_high = whole
    starts = [(low, other_low), *((low + place + 1, other_low + other + 1) for place, other in anchors)]
    ends = [*((low + place, other_low + other) for place, other in anchors), (high, other_high)]
    return [(a, b, c, d) for (a, c), (b, d) in zip(starts, ends, strict=True)]


def _cost(before: Sequence[Hashable], after: Sequence[Hashable]) -> int:
    """The most steps that difflib may take: it looks at all pairs of equal lines again for each match it finds."""
    counts = Counter(after)
    pairs = sum(counts[line] for line in before)
    return (pairs + len(before)) * min(len(before), len(after), pairs)


def _joined(blocks: list[Block]) -> list[Block]:
    joined: list[Block] = []
    for place, other, size in sorted(block for block in blocks if block[2]):
        if joined and (joined[-1][0] + joined[-1][2], joined[-1][1] + joined[-1][2]) == (place, other):
            joined[-1] = (joined[-1][0], joined[-1][1], joined[-1][2] + size)
        else:
            joined.append((place, other, size))
    return joined
