"""What became of the data that a model was trained on, from one version to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from app.domain.history import History, SnapshotOperation, same_rows_as
from app.domain.names import DatasetName
from app.domain.roles import InputRole
from app.domain.uses import VersionUse

RowsOf = Callable[[UUID, int], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputDelta:
    """A snapshot of a dataset on each side, in one role; None on a side that has none to set against the other's.

    `is_changed` says that the rows differ, as far as is known: not where a compaction alone lies between. The dataset
    has the name that the later version knows it by.
    """

    table_uuid: UUID
    dataset: DatasetName
    role: InputRole
    before: int | None
    after: int | None
    is_changed: bool


def diff_training_data(
    before: Sequence[VersionUse], after: Sequence[VersionUse], rows_of: RowsOf
) -> tuple[InputDelta, ...]:
    """The snapshots of each dataset in each role, those of the one side set against those of the other.

    First those are paired that are the same, then those with the same rows, then the rest in the order in which they
    were told. `rows_of` answers for a snapshot of a table the one whose rows it has (`rows_of_snapshot`).
    """
    names = {use.table_uuid: use.dataset for use in (*before, *after)}
    deltas: list[InputDelta] = []
    for table_uuid, role in {(use.table_uuid, use.role) for use in (*before, *after)}:
        old, new = (
            [use.snapshot_id for use in side if (use.table_uuid, use.role) == (table_uuid, role)]
            for side in (before, after)
        )
        deltas += [
            InputDelta(
                table_uuid=table_uuid,
                dataset=names[table_uuid],
                role=role,
                before=one,
                after=other,
                is_changed=is_changed,
            )
            for one, other, is_changed in _pairs(old, new, partial(rows_of, table_uuid))
        ]
    return tuple(sorted(deltas, key=_order))


def tables_to_look_at(before: Sequence[VersionUse], after: Sequence[VersionUse]) -> dict[UUID, DatasetName]:
    """The tables whose histories decide whether rows differ, by the names they were last known by.

    Not those whose snapshots are the same on both sides, nor those that one side lacks.
    """
    old, new = ({(use.table_uuid, use.role, use.snapshot_id) for use in side} for side in (before, after))
    gone, come = ({(table_uuid, role) for table_uuid, role, _ in side} for side in (old - new, new - old))
    wanted = {table_uuid for table_uuid, _ in gone & come}
    return {use.table_uuid: use.dataset for use in (*before, *after) if use.table_uuid in wanted}


def rows_of_snapshot(history: History, snapshot_id: int) -> int:
    """The snapshot whose rows this one has: itself, or what a `replace` (compaction, by any engine) rewrote.

    The id of what was rewritten is known even where that has expired.
    """
    origin = history.snapshots.get(same_rows_as(history, snapshot_id))
    if origin is None:
        return snapshot_id
    if origin.operation is SnapshotOperation.REPLACE and origin.parent_id is not None:
        return origin.parent_id
    return origin.snapshot_id


def _pairs(
    before: Sequence[int], after: Sequence[int], rows_of: Callable[[int], int]
) -> list[tuple[int | None, int | None, bool]]:
    found: list[tuple[int | None, int | None, bool]] = [(each, each, False) for each in before if each in after]
    old = [each for each in before if each not in after]
    new = [each for each in after if each not in before]
    if old and new:
        for one in list(old):
            other = next((each for each in new if rows_of(each) == rows_of(one)), None)
            if other is not None:
                found.append((one, other, False))
                old.remove(one)
                new.remove(other)
    together = min(len(old), len(new))
    found += [(one, other, True) for one, other in zip(old, new, strict=False)]
    found += [(one, None, True) for one in old[together:]]
    found += [(None, other, True) for other in new[together:]]
    return found


def _order(delta: InputDelta) -> tuple[str, str, str, int, int]:
    return (
        str(delta.dataset),
        str(delta.table_uuid),
        delta.role.value,
        -1 if delta.before is None else delta.before,
        -1 if delta.after is None else delta.after,
    )
