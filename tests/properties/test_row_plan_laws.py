"""Laws of what a row diff plans to read: taking rewrites back never changes the difference, and groups keep equals."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.live_files import FileDelta, LiveFile, Rewrite, cancel_rewrites
from app.domain.row_ranges import Group, Span, group_overlapping
from app.domain.version_relation import DiffSide

MODERATE = settings(max_examples=200, deadline=None)

Rows = tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class Line:
    """A line of snapshots from the merge base on: the files that are live at its end, and the rewrites on the way."""

    files: dict[LiveFile, Rows]
    rewrites: list[Rewrite] = field(default_factory=list)
    has_changes: bool = False

    def replace(self, removed: list[LiveFile], added: dict[LiveFile, Rows]) -> None:
        for file in removed:
            del self.files[file]
        self.files |= added
        self.rewrites.append(Rewrite(removed=frozenset(removed), added=frozenset(added)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Two lines from one base, and the rows of every file that ever was."""

    from_line: Line
    to_line: Line
    rows: dict[LiveFile, Rows]

    @property
    def delta(self) -> FileDelta:
        ours, theirs = frozenset(self.from_line.files), frozenset(self.to_line.files)
        return FileDelta(from_only=ours - theirs, to_only=theirs - ours)

    def difference(self, delta: FileDelta) -> dict[int, int]:
        """How often each row is there more on the `to` side."""
        found: Counter[int] = Counter()
        for files, sign in ((delta.to_only, 1), (delta.from_only, -1)):
            for file in files:
                for row in self.rows[file]:
                    found[row] += sign
        return {row: count for row, count in found.items() if count}

    def size(self, delta: FileDelta) -> int:
        return sum(map(self.size_of, delta.from_only | delta.to_only))

    def size_of(self, file: LiveFile) -> int:
        return 1 + len(self.rows[file])


row_ids = st.integers(0, 5)
rows_of_a_file = st.lists(row_ids, max_size=4).map(tuple)


@st.composite
def lines(draw: st.DrawFn, *, only_rewrites: bool = False) -> Lines:
    """Appends, also of one file to both lines, drops, other deletes and rewrites, in any order."""
    numbers = iter(range(1000))
    base = {LiveFile(f"f{next(numbers)}"): rows for rows in draw(st.lists(rows_of_a_file, max_size=4))}
    shared = {LiveFile(f"s{number}"): draw(rows_of_a_file) for number in range(2)}
    known = {**base, **shared}
    made = []
    for _ in range(2):
        line = Line(files=dict(base))
        for _ in range(draw(st.integers(0, 5))):
            kinds = ["replace"] if only_rewrites else ["replace", "replace", "append", "share", "drop", "delete"]
            kind = draw(st.sampled_from(kinds))
            live = sorted(line.files)
            chosen = draw(st.lists(st.sampled_from(live), unique=True, max_size=3)) if live else []
            line.has_changes |= kind != "replace"
            if kind == "append":
                line.files[LiveFile(f"f{next(numbers)}")] = draw(rows_of_a_file)
            elif kind == "share":
                line.files |= {name: shared[name] for name in draw(st.sets(st.sampled_from(sorted(shared))))}
            elif kind == "drop":
                line.files = {file: rows for file, rows in line.files.items() if file not in chosen}
            elif kind == "delete":
                for file in chosen:
                    kept = tuple(row for row in line.files.pop(file) if draw(st.booleans()))
                    line.files[LiveFile(file.path, file.deletes | {f"d{next(numbers)}"})] = kept
            else:
                rest = draw(st.permutations([row for file in chosen for row in line.files[file]]))
                cut = draw(st.integers(0, len(rest)))
                parts = [tuple(rest[:cut]), tuple(rest[cut:])][: draw(st.integers(1, 2))]
                parts = parts if len(parts) == 2 else [tuple(rest)]
                line.replace(chosen, {LiveFile(f"f{next(numbers)}"): part for part in parts})
            known |= line.files
        made.append(line)
    return Lines(from_line=made[0], to_line=made[1], rows=known)


@given(lines())
@MODERATE
def test_taking_rewrites_back_changes_no_difference_in_rows_and_never_reads_more(given_lines: Lines) -> None:
    delta = given_lines.delta
    least = cancel_rewrites(
        delta, given_lines.from_line.rewrites, given_lines.to_line.rewrites, size_of=given_lines.size_of
    )
    assert given_lines.difference(least) == given_lines.difference(delta)
    assert given_lines.size(least) <= given_lines.size(delta)
    assert least.from_only.isdisjoint(least.to_only)


@given(lines())
@MODERATE
def test_taking_rewrites_back_looks_the_same_from_the_other_side(given_lines: Lines) -> None:
    ours, theirs = given_lines.from_line.rewrites, given_lines.to_line.rewrites
    one_way = cancel_rewrites(given_lines.delta, ours, theirs, size_of=given_lines.size_of)
    other_way = cancel_rewrites(given_lines.delta.mirrored, theirs, ours, size_of=given_lines.size_of)
    assert given_lines.size(one_way) == given_lines.size(other_way)
    assert given_lines.difference(one_way) == given_lines.difference(other_way.mirrored)


@given(lines(only_rewrites=True))
@MODERATE
def test_lines_of_nothing_but_rewrites_differ_in_nothing(given_lines: Lines) -> None:
    ours, theirs = given_lines.from_line.rewrites, given_lines.to_line.rewrites
    assert cancel_rewrites(given_lines.delta, ours, theirs, size_of=given_lines.size_of).is_empty


@st.composite
def spans(draw: st.DrawFn, *, bounded: bool = False) -> Span:
    lower = draw(st.integers(0, 30))
    is_known = bounded or draw(st.integers(0, 9)) > 0
    return Span(
        lower=lower if is_known else None,
        upper=lower + draw(st.integers(0, 6)) if is_known else None,
        has_nulls=draw(st.integers(0, 3)) == 0,
    )


def may_share_values(one: Span, other: Span) -> bool:
    if one.has_nulls and other.has_nulls:
        return True
    if None in (one.lower, one.upper, other.lower, other.upper):
        return True
    return bool(one.lower <= other.upper and other.lower <= one.upper)


Files = dict[tuple[DiffSide, int], Span]


def places(groups: list[Group]) -> dict[tuple[DiffSide, int], int]:
    return {
        (side, place): number
        for number, group in enumerate(groups)
        for side, some in ((DiffSide.FROM, group.from_places), (DiffSide.TO, group.to_places))
        for place in some
    }


@given(st.lists(spans(), max_size=8), st.lists(spans(), max_size=8))
@MODERATE
def test_files_that_may_share_values_are_in_one_group(from_spans: list[Span], to_spans: list[Span]) -> None:
    groups = group_overlapping(from_spans, to_spans)
    files: Files = {(DiffSide.FROM, place): span for place, span in enumerate(from_spans)}
    files |= {(DiffSide.TO, place): span for place, span in enumerate(to_spans)}
    found = places(groups)
    assert found.keys() == files.keys()
    assert sum(len(group.from_places) + len(group.to_places) for group in groups) == len(files)
    for one, other in combinations(files, 2):
        if may_share_values(files[one], files[other]):
            assert found[one] == found[other]


@given(st.lists(spans(bounded=True), max_size=8), st.lists(spans(bounded=True), max_size=8))
@MODERATE
def test_groups_of_known_spans_are_no_larger_than_they_have_to_be(from_spans: list[Span], to_spans: list[Span]) -> None:
    files = [*from_spans, *to_spans]
    linked = list(range(len(files)))
    for one, other in combinations(range(len(files)), 2):
        if may_share_values(files[one], files[other]):
            linked = [linked[one] if root == linked[other] else root for root in linked]
    assert len(group_overlapping(from_spans, to_spans)) == len(set(linked))


@given(st.lists(spans(), max_size=8), st.lists(spans(), max_size=8))
@MODERATE
def test_groups_are_the_same_from_the_other_side(from_spans: list[Span], to_spans: list[Span]) -> None:
    one_way = {(group.from_places, group.to_places) for group in group_overlapping(from_spans, to_spans)}
    other_way = {(group.to_places, group.from_places) for group in group_overlapping(to_spans, from_spans)}
    assert one_way == other_way


@pytest.mark.timeout(15)
def test_many_files_of_which_half_have_nulls_are_grouped_at_once() -> None:
    """Comparing each with each would take minutes."""
    from_spans = [Span(lower=2 * n, upper=2 * n, has_nulls=n % 2 == 0) for n in range(40_000)]
    assert len(group_overlapping(from_spans, [])) == 20_001
