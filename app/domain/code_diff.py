"""The difference of two texts as a unified diff, as `diff -u`, `git` and `patch` write and read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.domain.line_matching import Block, match_lines

CONTEXT_LINES = 3
# Of the text of a diff: what people read, and what an answer can hold beside everything else.
MAX_DIFF_CHARS = 1_000_000
_NO_NEWLINE = "\\ No newline at end of file\n"
# A change, from and to where in both texts.
_Change = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeDiff:
    """A unified diff, empty where both texts are the same; `is_cut` says that its end is missing.

    `lines_added` and `lines_removed` count all of them, whether or not the text was cut.
    """

    text: str = ""
    is_cut: bool = False
    lines_added: int = 0
    lines_removed: int = 0


def diff_code(
    before: str, after: str, *, before_name: str, after_name: str, max_chars: int = MAX_DIFF_CHARS
) -> CodeDiff:
    """The difference of two texts; a line ends with a line feed and nothing else, as for git.

    `patch` makes the later text of the earlier one by it, unless it is cut, which it is at the end of a line. Of texts
    that differ much it may be longer than the shortest one (`app.domain.line_matching`). Takes a second or two at most.
    """
    if before == after:
        return CodeDiff()
    old, new = _lines(before), _lines(after)
    changes = list(_changes(match_lines(old, new), len(old), len(new)))
    kept: list[str] = []
    length = 0
    is_cut = False
    for line in _written(changes, old, new, before_name, after_name):
        length += len(line)
        if length > max_chars:
            is_cut = True
            break
        kept.append(line)
    return CodeDiff(
        text="".join(kept),
        is_cut=is_cut,
        lines_added=sum(other_end - other for _, _, other, other_end in changes),
        lines_removed=sum(end - start for start, end, _, _ in changes),
    )


def _lines(text: str) -> list[str]:
    # `splitlines` would split at form feeds and Unicode's own separators, which no patch does.
    *whole, rest = text.split("\n")
    return [line + "\n" for line in whole] + ([rest] if rest else [])


def _changes(blocks: Sequence[Block], length: int, other_length: int) -> Iterator[_Change]:
    """What lies between the blocks that are the same."""
    place = other_place = 0
    for start, other_start, size in [*blocks, (length, other_length, 0)]:
        if place < start or other_place < other_start:
            yield place, start, other_place, other_start
        place, other_place = start + size, other_start + size


def _written(
    changes: Sequence[_Change], old: Sequence[str], new: Sequence[str], before_name: str, after_name: str
) -> Iterator[str]:
    yield f"--- {before_name}\n"
    yield f"+++ {after_name}\n"
    for hunk in _hunks(changes):
        start = max(hunk[0][0] - CONTEXT_LINES, 0)
        other_start = hunk[0][2] - (hunk[0][0] - start)
        end = min(hunk[-1][1] + CONTEXT_LINES, len(old))
        other_end = hunk[-1][3] + (end - hunk[-1][1])
        yield f"@@ -{_span(start, end)} +{_span(other_start, other_end)} @@\n"
        place = start
        for first, last, other_first, other_last in hunk:
            yield from (_written_line(" ", line) for line in old[place:first])
            yield from (_written_line("-", line) for line in old[first:last])
            yield from (_written_line("+", line) for line in new[other_first:other_last])
            place = last
        yield from (_written_line(" ", line) for line in old[place:end])


def _hunks(changes: Sequence[_Change]) -> Iterator[list[_Change]]:
    """Changes that stand so near that their contexts touch, together."""
    hunk: list[_Change] = []
    for change in changes:
        if hunk and change[0] - hunk[-1][1] > 2 * CONTEXT_LINES:
            yield hunk
            hunk = []
        hunk.append(change)
    if hunk:
        yield hunk


def _span(start: int, end: int) -> str:
    # Lines are counted from 1, but an empty span is named by the line before it.
    length = end - start
    return f"{start + 1}" if length == 1 else f"{start + 1 if length else start},{length}"


def _written_line(sign: str, line: str) -> str:
    return sign + line if line.endswith("\n") else f"{sign}{line}\n{_NO_NEWLINE}"
