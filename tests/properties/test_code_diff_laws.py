"""Laws of unified diffs: they make the one text of the other, also where the search for the shortest was given up."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.code_diff import diff_code
from app.domain.line_matching import match_lines

MODERATE = settings(max_examples=300, deadline=None)
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@\n")

lines = st.lists(
    st.sampled_from(["a", "b", "c", "", "- x", "+ y", "@@ -1 +1 @@", "\x0c", "d\r", "é", "\u2028"]), max_size=30
)
texts = st.builds(lambda found, end: "\n".join(found) + end, lines, st.sampled_from(["", "\n"]))


def patched(before: str, diff: str) -> str:
    """What `patch` makes of a text, checked line by line."""
    old = [line for line in re.split(r"(?<=\n)", before) if line]
    made: list[str] = []
    place = 0
    written = [line for line in re.split(r"(?<=\n)", diff) if line][2:]
    while written:
        match = HUNK.fullmatch(written.pop(0))
        assert match is not None
        start, length, other_start, other_length = (int(number or 1) for number in match.groups())
        start -= bool(length) and 1
        made += old[place:start]
        place = start
        assert len(made) == other_start - (bool(other_length) and 1)
        while length or other_length:
            line = written.pop(0)
            text = line[1:]
            if written and written[0].startswith("\\ No newline"):
                written.pop(0)
                text = text[:-1]
            if line[0] in " -":
                assert old[place] == text
                place, length = place + 1, length - 1
            if line[0] in " +":
                made.append(text)
                other_length -= 1
    return "".join([*made, *old[place:]])


@MODERATE
@given(texts, texts)
def test_a_diff_makes_the_later_text(before: str, after: str) -> None:
    found = diff_code(before, after, before_name="a", after_name="b")
    back = diff_code(after, before, before_name="b", after_name="a")

    assert patched(before, found.text) == after
    assert (found.text == "") is (before == after)
    assert not found.is_cut
    assert patched(after, back.text) == before


@MODERATE
@given(lines, lines, st.integers(0, 200))
def test_matches_are_in_order_whatever_they_may_cost(before: list[str], after: list[str], max_steps: int) -> None:
    blocks = match_lines(before, after, max_steps=max_steps)

    place = other_place = 0
    for start, other, size in blocks:
        assert size > 0 and start >= place and other >= other_place
        assert before[start : start + size] == after[other : other + size]
        place, other_place = start + size, other + size
    assert match_lines(before, before, max_steps=max_steps) == ([(0, 0, len(before))] if before else [])


@MODERATE
@given(texts, texts, st.integers(0, 400))
def test_a_cut_diff_is_the_beginning_of_the_whole(before: str, after: str, max_chars: int) -> None:
    whole = diff_code(before, after, before_name="a", after_name="b")
    cut = diff_code(before, after, before_name="a", after_name="b", max_chars=max_chars)

    assert whole.text.startswith(cut.text)
    assert cut.is_cut is (cut.text != whole.text)
    assert (cut.lines_added, cut.lines_removed) == (whole.lines_added, whole.lines_removed)
