"""How two snapshots of one table are related, and which snapshots lie between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from app.domain.history import History, Snapshot, SnapshotOperation, newest_first


class VersionRelation(StrEnum):
    """What the version compared from is to the one compared to.

    ANCESTOR is the usual case: the second was made from the first. UNRELATED: it is known that they have nothing in
    common, as they are of two tables, or both lines are known down to a first snapshot. UNKNOWN: no common ancestor
    is left, but there may have been one among snapshots that have expired.
    """

    SAME = "SAME"
    ANCESTOR = "ANCESTOR"
    DESCENDANT = "DESCENDANT"
    DIVERGED = "DIVERGED"
    UNRELATED = "UNRELATED"
    UNKNOWN = "UNKNOWN"


class DiffSide(StrEnum):
    """Which of the two versions a snapshot leads to."""

    FROM = "FROM"
    TO = "TO"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinship:
    """The relation of two snapshots.

    `from_side` and `to_side` are what each of the two has that the other has not, itself the first, then its parent and
    so on: going from one to the other undoes the first list and does the second. Where `is_cut`, older ones have
    expired, and the lists end where knowledge does.
    """

    relation: VersionRelation
    merge_base_id: int | None = None
    from_side: tuple[Snapshot, ...] = ()
    to_side: tuple[Snapshot, ...] = ()
    is_cut: bool = False

    @property
    def between(self) -> Iterator[tuple[DiffSide, Snapshot]]:
        """All snapshots between the two, each with its side."""
        yield from ((DiffSide.FROM, snapshot) for snapshot in self.from_side)
        yield from ((DiffSide.TO, snapshot) for snapshot in self.to_side)

    def commits(self, side: DiffSide | None = None) -> list[tuple[DiffSide, Snapshot]]:
        """The snapshots between the two, or those of one side, newest first."""
        chosen = (pair for pair in self.between if side is None or pair[0] is side)
        return sorted(chosen, key=lambda pair: newest_first(pair[1]))

    @property
    def is_rewrite(self) -> bool:
        """Whether the two are known to have the same rows: nothing but `replace` snapshots lies between them."""
        if self.merge_base_id is None:
            return False
        return all(snapshot.operation is SnapshotOperation.REPLACE for _, snapshot in self.between)


def relate(history: History, from_id: int, to_id: int) -> Kinship:
    """How the two snapshots are related. Costs walking both lines, of which either ends where parents are unknown."""
    if from_id == to_id:
        return Kinship(relation=VersionRelation.SAME, merge_base_id=from_id)
    from_line, to_line = tuple(history.ancestors(from_id)), tuple(history.ancestors(to_id))
    in_from = {snapshot.snapshot_id for snapshot in from_line}
    base_id = next((snapshot.snapshot_id for snapshot in to_line if snapshot.snapshot_id in in_from), None)
    if base_id is None:
        is_cut = _is_cut(history, from_line) or _is_cut(history, to_line)
        return Kinship(
            relation=VersionRelation.UNKNOWN if is_cut else VersionRelation.UNRELATED,
            from_side=from_line,
            to_side=to_line,
            is_cut=is_cut,
        )
    relations = {from_id: VersionRelation.ANCESTOR, to_id: VersionRelation.DESCENDANT}
    return Kinship(
        relation=relations.get(base_id, VersionRelation.DIVERGED),
        merge_base_id=base_id,
        from_side=_until(from_line, base_id),
        to_side=_until(to_line, base_id),
    )


def _is_cut(history: History, line: tuple[Snapshot, ...]) -> bool:
    """Whether a line does not go back to a first snapshot, or may not.

    One that names a parent which is not there does not; broken metadata may go round in circles. But pyiceberg takes
    the parent's name out of its children when it expires it, and then they look like first ones. So a first one has
    to look like one otherwise too: it holds nothing that it did not add, and no snapshot from before it is missing,
    which the sequence numbers tell, as every snapshot of a table has the next one (Iceberg spec, "Sequence Numbers").
    """
    if not line or line[-1].parent_id is not None:
        return True
    first = line[-1]
    if _number(first, "total-data-files") > _number(first, "added-data-files"):
        return True
    if not first.sequence_number:  # format version 1 has none
        return False
    earlier = {each.sequence_number for each in history.snapshots.values() if each.sequence_number}
    return sum(number < first.sequence_number for number in earlier) < first.sequence_number - 1


def _number(snapshot: Snapshot, key: str) -> int:
    text = snapshot.summary.get(key, "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _until(line: tuple[Snapshot, ...], base_id: int) -> tuple[Snapshot, ...]:
    place = next(place for place, snapshot in enumerate(line) if snapshot.snapshot_id == base_id)
    return line[:place]
