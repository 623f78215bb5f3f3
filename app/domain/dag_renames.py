"""Tasks of a DAG that got another id, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import count

from app.domain.dags import Dag, DagTask

# Each round looks at what is around the neighbours once more. Tasks that are alike after so many are not told apart,
# and what cannot be told apart is not taken for renamed.
_MAX_ROUNDS = 8

Neighbours = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """The tasks that only one of two DAGs has, each after those it follows, and what is around them."""

    contents: Mapping[str, str]
    before: Neighbours
    after: Neighbours


class _Colours:
    """Numbers for things, the same for the same."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._next = count()

    def of(self, thing: object) -> int:
        """The number of a thing."""
        if thing not in self._numbers:
            self._numbers[thing] = next(self._next)
        return self._numbers[thing]


def find_renames(before: Dag, after: Dag) -> dict[str, str]:
    """The tasks that are in both under different ids, by the earlier one.

    They say the same but for the id, and follow and are followed by the same tasks, which may be renamed too. Where
    more than one pairing would do, none of these tasks is taken for renamed. The order of tasks and edges says nothing,
    and the renames from `after` to `before` are the same ones turned round. Takes time with the size of the DAGs, a few
    times over.
    """
    old_ids, new_ids = ({task.id for task in dag.tasks} for dag in (before, after))
    old, new = _side(before, old_ids - new_ids), _side(after, new_ids - old_ids)
    if not old.contents or not new.contents:
        return {}
    candidates = _pair(*_coloured((old, new)))
    return _with_same_neighbours(candidates, old, new)


def _side(dag: Dag, own: set[str]) -> _Side:
    before: dict[str, list[str]] = {task_id: [] for task_id in own}
    after: dict[str, list[str]] = {task_id: [] for task_id in own}
    for source, target in dag.edges:
        if target in own:
            before[target].append(source)
        if source in own:
            after[source].append(target)
    contents = {task.id: _content(task) for task in dag.tasks if task.id in own}
    own_only = {task_id: [each for each in sources if each in own] for task_id, sources in before.items()}
    order = TopologicalSorter(own_only).static_order()
    return _Side(contents={task_id: contents[task_id] for task_id in order}, before=before, after=after)


def _content(task: DagTask) -> str:
    said = json.loads(task.canonical)
    del said["id"]
    return json.dumps(said, sort_keys=True)


def _coloured(sides: Sequence[_Side]) -> list[dict[str, int]]:
    """A colour for each task, the same for tasks of both sides that are alike as far as was looked.

    Colours are refined by those of the neighbours (Weisfeiler and Leman, "The reduction of a graph to canonical form",
    1968), along the edges and against them, so that one round sees all that lies up or down a path.
    """
    names = _Colours()
    coloured = [{task: names.of(("content", text)) for task, text in side.contents.items()} for side in sides]
    classes = 0
    for _ in range(_MAX_ROUNDS):
        coloured = [_refined(side, colours, names) for side, colours in zip(sides, coloured, strict=True)]
        found = len({colour for colours in coloured for colour in colours.values()})
        if found == classes:
            break
        classes = found
    return coloured


def _refined(side: _Side, colours: dict[str, int], names: _Colours) -> dict[str, int]:
    tasks = list(side.contents)
    for neighbours, order in ((side.before, tasks), (side.after, tasks[::-1])):
        refined: dict[str, int] = {}
        for task in order:
            # A task that both DAGs have is known by its id, and whatever happened to it is no matter here.
            around = (refined[each] if each in refined else names.of(("id", each)) for each in neighbours[task])
            refined[task] = names.of((colours[task], tuple(sorted(around))))
        colours = refined
    return colours


def _pair(old: Mapping[str, int], new: Mapping[str, int]) -> dict[str, str]:
    """The tasks of a colour that only one task of each side has."""
    ours, theirs = _by_colour(old), _by_colour(new)
    return {
        tasks[0]: theirs[colour][0]
        for colour, tasks in ours.items()
        if len(tasks) == 1 and len(theirs.get(colour, ())) == 1
    }


def _by_colour(colours: Mapping[str, int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for task, colour in colours.items():
        found.setdefault(colour, []).append(task)
    return found


def _with_same_neighbours(renames: dict[str, str], old: _Side, new: _Side) -> dict[str, str]:
    """Those renames whose neighbours are the same or renamed; without those that lean on others which are not."""
    left = dict(renames)
    to_check: Iterable[str] = list(left)
    while to_check:
        doubtful: set[str] = set()
        for task in to_check:
            if task in left and not _has_same_neighbours(task, left, old, new):
                del left[task]
                doubtful.update(old.before[task], old.after[task])
        to_check = doubtful & left.keys()
    return left


def _has_same_neighbours(task: str, renames: Mapping[str, str], old: _Side, new: _Side) -> bool:
    other = renames[task]
    for ours, theirs in ((old.before[task], new.before[other]), (old.after[task], new.after[other])):
        if any(each in old.contents and each not in renames for each in ours):
            return False
        if {renames.get(each, each) for each in ours} != set(theirs):
            return False
    return True
