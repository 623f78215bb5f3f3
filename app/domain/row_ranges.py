"""Which files of two versions can have rows in common, by the bounds of one column.

Files whose spans do not overlap have no equal keys, so that each group of overlapping ones is compared by itself, and
what is on one side only need not be read at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.version_relation import DiffSide


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The least and the greatest value of one column in a file; None where it has no bound that is known.

    `has_nulls` says that it has nulls too, or may have them: nulls are equal to each other here.
    """

    lower: Any = None
    upper: Any = None
    has_nulls: bool = False


UNKNOWN = Span(has_nulls=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Places of the files that may have rows in common, on each side."""

    from_places: tuple[int, ...]
    to_places: tuple[int, ...]

    @property
    def is_one_sided(self) -> bool:
        """Whether nothing on the other side can be equal to its rows."""
        return not self.from_places or not self.to_places


def group_overlapping(from_spans: Sequence[Span], to_spans: Sequence[Span]) -> list[Group]:
    """The files in groups that have no value of the column in common, in the order of their values.

    Costs a sort of all files. A file without bounds is in one group with all others.
    """
    files = [(DiffSide.FROM, place, span) for place, span in enumerate(from_spans)]
    files += [(DiffSide.TO, place, span) for place, span in enumerate(to_spans)]
    if any(span.lower is None or span.upper is None for _, _, span in files):
        return [_group(files)] if files else []
    files.sort(key=lambda file: (file[2].lower, file[2].upper, file[0].value, file[1]))
    groups: list[list[tuple[DiffSide, int, Span]]] = []
    highest: Any = None
    for file in files:
        if groups and file[2].lower <= highest:
            groups[-1].append(file)
            highest = max(highest, file[2].upper)
        else:
            groups.append([file])
            highest = file[2].upper
    return [_group(group) for group in _joined_by_nulls(groups)]


def _joined_by_nulls(groups: list[list[tuple[DiffSide, int, Span]]]) -> list[list[tuple[DiffSide, int, Span]]]:
    with_nulls: list[list[tuple[DiffSide, int, Span]]] = []
    others: list[list[tuple[DiffSide, int, Span]]] = []
    for group in groups:
        (with_nulls if any(span.has_nulls for _, _, span in group) else others).append(group)
    if len(with_nulls) < 2:
        return groups
    return [[file for group in with_nulls for file in group], *others]


def _group(files: list[tuple[DiffSide, int, Span]]) -> Group:
    return Group(
        from_places=tuple(sorted(place for side, place, _ in files if side is DiffSide.FROM)),
        to_places=tuple(sorted(place for side, place, _ in files if side is DiffSide.TO)),
    )
