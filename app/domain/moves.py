"""Which members of a list were moved, where its order changed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


def moved(places: Sequence[int]) -> frozenset[int]:
    """The smallest set of positions in `places` without which the rest rises: what was moved, rather than shifted.

    `places` says for each member of the new order where it was in the old one, each place once. Moving the last of a
    thousand columns to the front moves one. Which ones are taken where several sets are as small is not told, but
    always the same. A longest increasing subsequence, by patience sorting: O(n log n) (Schensted 1961).
    """
    tails: list[int] = []  # of the rising runs found so far, by length: the place at which the lowest of them ends
    ends: list[int] = []  # and the position of that
    previous: list[int] = []
    for position, place in enumerate(places):
        length = bisect_left(tails, place)
        previous.append(ends[length - 1] if length else -1)
        tails[length : length + 1] = [place]
        ends[length : length + 1] = [position]
    kept: set[int] = set()
    position = ends[-1] if ends else -1
    while position >= 0:
        kept.add(position)
        position = previous[position]
    return frozenset(range(len(places))) - kept
