"""Which files of two versions look as if the one was made of the other, by what their manifests say of both."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Sequence
from heapq import nsmallest

# A mark that more files have tells none of them from the others.
_MOST_WITH_A_MARK = 8
# So many of the most alike are kept of each later file, of which hundreds may have one mark or the other of it.
_MOST_CANDIDATES = 8

Pair = tuple[int, int]


def pair_alike(from_marks: Sequence[Collection[Hashable]], to_marks: Sequence[Collection[Hashable]]) -> list[Pair]:
    """Places of files that have marks in common, on each side, every file in one pair at most.

    Those with most in common come together first; pairs are in the order of the earlier files. A file that was made of
    another one mostly has its least and greatest values still. Costs time linear in the marks, and little memory beside
    them.
    """
    having: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place, marks in enumerate(from_marks):
        for mark in marks:
            having[mark].append(place)
    alike: list[tuple[int, Pair]] = []
    for to_place, marks in enumerate(to_marks):
        common: Counter[int] = Counter()
        for mark in marks:
            if len(places := having.get(mark, ())) <= _MOST_WITH_A_MARK:
                common.update(places)
        best = nsmallest(_MOST_CANDIDATES, ((-count, from_place) for from_place, count in common.items()))
        alike += [(count, (from_place, to_place)) for count, from_place in best]
    pairs: list[Pair] = []
    paired: tuple[set[int], set[int]] = (set(), set())
    for _, pair in sorted(alike):
        if pair[0] not in paired[0] and pair[1] not in paired[1]:
            paired[0].add(pair[0])
            paired[1].add(pair[1])
            pairs.append(pair)
    return sorted(pairs)
