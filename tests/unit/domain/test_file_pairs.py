"""Which files of two versions look as if the one was made of the other."""

from __future__ import annotations

import random
import tracemalloc

from app.domain.file_pairs import pair_alike


def test_files_with_most_in_common_come_together_wherever_they_are() -> None:
    before = [{"a", "b", "c"}, {"d", "e"}, {"f"}, {"g"}]
    after = [{"d"}, {"d", "e", "a"}, {"b", "c"}, {"x"}, {"f"}]
    assert pair_alike(before, after) == [(0, 2), (1, 1), (2, 4)]


def test_what_nearly_all_files_have_tells_none_from_the_others() -> None:
    files = [{"constant", number} for number in range(20)]
    assert pair_alike(files, [{"constant"}] * 20) == []
    assert pair_alike(files, list(reversed(files))) == [(place, 19 - place) for place in range(20)]


def test_thousands_of_files_that_have_some_mark_in_common_take_little_memory() -> None:
    # Given files each of which shares its marks with hundreds of others, and is most like one
    draw = random.Random(7)
    before = [{(column, draw.randrange(300)) for column in range(60)} for _ in range(2000)]
    after = [set(list(marks)[:40]) for marks in before]
    tracemalloc.start()
    try:
        pairs = pair_alike(before, after)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Then it is in pairs, and the hundreds are not held of all files at once.
    assert pairs == [(place, place) for place in range(2000)]
    assert peak < 30_000_000
