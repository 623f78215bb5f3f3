"""Where each snapshot stands in its table: on which branches, how far from their heads, and how old at most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

from app.domain.history import History

# An amount, and which branch it comes from: minus its place among them, so that of equals the first is greatest.
_Best = tuple[int, int]


class Along(NamedTuple):
    """A number that a snapshot has along a branch. A tuple, because there are several of every snapshot."""

    amount: int
    branch: str


class Lines:
    """The lines of ancestors in a table, all walked at once: each question costs one pass over the snapshots.

    A snapshot has one parent, so what all branches say of it follows from what they say of its children.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._parents = {
            snapshot.snapshot_id: snapshot.parent_id
            for snapshot in history.snapshots.values()
            if snapshot.parent_id is not None and snapshot.parent_id in history.snapshots
        }
        # Children before their parents.
        children = Counter(self._parents.values())
        self._order = [snapshot_id for snapshot_id in history.snapshots if not children[snapshot_id]]
        for snapshot_id in self._order:
            parent_id = self._parents.get(snapshot_id)
            if parent_id is not None:
                children[parent_id] -= 1
                if not children[parent_id]:
                    self._order.append(parent_id)

    @cached_property
    def circular(self) -> frozenset[int]:
        """Snapshots that are their own ancestors, in metadata that is broken: nobody can say how old these are."""
        return frozenset(self._history.snapshots.keys() - set(self._order))

    @cached_property
    def made_ms(self) -> Mapping[int, int]:
        """When each snapshot was made, at the earliest: no earlier than what it was made from.

        Its own timestamp, unless one of its ancestors has a later one. Then the clock of a writer ran backwards, and
        what is newest must not look oldest for it.
        """
        made: dict[int, int] = {}
        for snapshot_id in reversed(self._order):
            own_ms = self._history.snapshots[snapshot_id].timestamp_ms
            parent_id = self._parents.get(snapshot_id)
            parent_ms = None if parent_id is None else made.get(parent_id)
            made[snapshot_id] = own_ms if parent_ms is None or parent_ms < own_ms else parent_ms
        for snapshot_id in self.circular:
            made[snapshot_id] = self._history.snapshots[snapshot_id].timestamp_ms
        return made

    @cached_property
    def places(self) -> Mapping[int, Along]:
        """How many snapshots are between each one and the nearest head that it is an ancestor of: of the head itself 0.

        Snapshots that no branch leads to are not in it.
        """
        best = self._spread({branch.name: 0 for branch in self._history.branches}, lost=1)
        names = self._names
        return {snapshot_id: Along(-amount, names[-place]) for snapshot_id, (amount, place) in best.items()}

    def counted(self, counts: Mapping[str, int]) -> Mapping[int, Along]:
        """How many more commits to its branch each snapshot stays among the first so many of it.

        `counts` are by name of branch; of several branches the one counts that keeps it longest. Those that are not
        among the first of any are not in it.
        """
        names, best = self._names, self._spread(counts, lost=1)
        return {key: Along(amount, names[-place]) for key, (amount, place) in best.items() if amount > 0}

    def longest(self, spans_ms: Mapping[str, int]) -> Mapping[int, Along]:
        """The longest of the spans of the branches that lead to each snapshot."""
        names, best = self._names, self._spread(spans_ms, lost=0)
        return {key: Along(amount, names[-place]) for key, (amount, place) in best.items()}

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(branch.name for branch in self._history.branches)

    def _spread(self, amounts: Mapping[str, int], *, lost: int) -> dict[int, _Best]:
        """The greatest amount at each snapshot, where each branch begins at its head and loses some at each step."""
        best: dict[int, _Best] = {}
        for place, branch in enumerate(self._history.branches):
            if branch.name in amounts and branch.snapshot_id in self._history.snapshots:
                begun = (amounts[branch.name], -place)
                best[branch.snapshot_id] = max(begun, best.get(branch.snapshot_id, begun))
        for snapshot_id in self._order:
            here = best.get(snapshot_id)
            parent_id = self._parents.get(snapshot_id)
            if here is not None and parent_id is not None:
                passed = (here[0] - lost, here[1])
                known = best.get(parent_id)
                if known is None or passed > known:
                    best[parent_id] = passed
        return best
