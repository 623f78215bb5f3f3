"""Deciding on ref changes: from the state of a table and what is asked for to a plan, or a typed refusal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from app.domain.datasets import TableState
from app.domain.history import ENDLESS_AGE_MS, MAIN, History, Ref, RefKind
from app.domain.ref_plans import RefPlan, RefUpdate, SchemaUpdate
from app.domain.schemas import describe_change
from app.domain.tags import TagConvention, check_ref_name, find_convention, find_protection
from app.domain.versions import get_branch, get_tag
from app.errors import (
    AlreadyCurrentError,
    BranchExistsError,
    HeadMovedError,
    InvalidArgumentError,
    ProtectedBranchError,
    ProtectedTagError,
    TagExistsError,
    UnsupportedTableError,
    VersionNotFoundError,
)

PRE_ROLLBACK = "pre_rollback_"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPlan:
    """A rollback, decided but not done."""

    plan: RefPlan
    branch: str
    from_id: int
    to_id: int
    undo_tag: str | None
    schema_warning: str | None
    restores_schema: bool


def plan_tag(state: TableState, name: str, snapshot_id: int, *, endless: bool = False) -> RefPlan | None:
    """Set a new tag; None where it is there already, at this very snapshot.

    An `endless` one gets the max-ref-age-ms by which no engine ever ends it, also where it is there without.

    Raises:
        InvalidNameError: the name is not allowed.
        TagExistsError, BranchExistsError: the name is taken.
    """
    check_ref_name("tag", name)
    existing = state.history.refs.get(name)
    if existing is not None:
        if existing.kind is RefKind.BRANCH:
            raise BranchExistsError(str(state.name), name, existing.snapshot_id)
        if existing.snapshot_id != snapshot_id:
            raise TagExistsError(str(state.name), name, existing.snapshot_id)
        if existing.is_endless or not endless:
            return None
        mended = replace(existing, max_ref_age_ms=ENDLESS_AGE_MS)
        return RefPlan(updates=(RefUpdate(name=name, before=snapshot_id, after=mended, sets_age=True),))
    return RefPlan(updates=(_create(name, RefKind.TAG, snapshot_id, ENDLESS_AGE_MS if endless else None),))


def plan_tag_move(
    state: TableState, name: str, snapshot_id: int, *, expected: int | None, force: bool, is_protection_requested: bool
) -> RefPlan | None:
    """Point an existing tag to another snapshot; None where it points there already.

    Raises:
        TagNotFoundError: no such tag.
        HeadMovedError: the tag is not at the `expected` snapshot.
        ProtectedTagError: it is protected and `force` is not given.
    """
    tag = get_tag(name, state.history, str(state.name))
    _check_expected(state, tag, expected)
    if tag.snapshot_id == snapshot_id:
        return None
    _check_unprotected(state, name, force=force, is_requested=is_protection_requested)
    moved = Ref(name=name, kind=RefKind.TAG, snapshot_id=snapshot_id, max_ref_age_ms=tag.max_ref_age_ms)
    return RefPlan(updates=(RefUpdate(name=name, before=tag.snapshot_id, after=moved),))


def plan_tag_removal(
    state: TableState, name: str, *, expected: int | None, force: bool, is_protection_requested: bool
) -> RefPlan:
    """Remove a tag. Raises as `plan_tag_move`."""
    tag = get_tag(name, state.history, str(state.name))
    _check_expected(state, tag, expected)
    _check_unprotected(state, name, force=force, is_requested=is_protection_requested)
    return RefPlan(updates=(RefUpdate(name=name, before=tag.snapshot_id, after=None),))


def plan_branch(state: TableState, name: str, snapshot_id: int) -> RefPlan | None:
    """Set a new branch; None where it is there already, at this very snapshot. Raises as `plan_tag`."""
    check_ref_name("branch", name)
    existing = state.history.refs.get(name)
    if existing is not None:
        if existing.kind is RefKind.TAG:
            raise TagExistsError(str(state.name), name, existing.snapshot_id)
        if existing.snapshot_id != snapshot_id:
            raise BranchExistsError(str(state.name), name, existing.snapshot_id)
        return None
    return RefPlan(updates=(_create(name, RefKind.BRANCH, snapshot_id),))


def plan_branch_removal(state: TableState, name: str, *, expected: int | None) -> RefPlan:
    """Remove a branch.

    Raises:
        ProtectedBranchError: it is main.
        BranchNotFoundError: no such branch.
        HeadMovedError: the branch is not at the `expected` snapshot.
    """
    if name == MAIN:
        raise ProtectedBranchError(str(state.name), name)
    branch = get_branch(name, state.history, str(state.name))
    _check_expected(state, branch, expected)
    return RefPlan(updates=(RefUpdate(name=name, before=branch.snapshot_id, after=None),))


def plan_rollback(
    state: TableState,
    *,
    to_id: int,
    branch: str,
    expected_head: int | None,
    restore_schema: bool,
    now: datetime,
    keep_days: int,
) -> RollbackPlan:
    """Point a branch to any other snapshot of the table and pin the head it leaves with a tag, in one commit.

    Raises:
        BranchNotFoundError, NoSnapshotError: no such branch.
        HeadMovedError: the branch is not at `expected_head`.
        AlreadyCurrentError: it points to `to_id` already.
        InvalidArgumentError: `restore_schema` of a branch other than main, whose schema is the whole table's.
    """
    head = get_branch(branch, state.history, str(state.name))
    _check_expected(state, head, expected_head)
    if head.snapshot_id == to_id:
        raise AlreadyCurrentError(str(state.name), branch, to_id)
    schema, warning = _schema_consequence(state, to_id, branch, restore_schema=restore_schema)
    pin = _undo_pin(state.history, now, head.snapshot_id, keep_days)
    plan = RefPlan(
        updates=(RefUpdate(name=pin.name, before=None, after=pin), _move(head, to_id)),
        schema=schema,
    )
    return RollbackPlan(
        plan=plan,
        branch=branch,
        from_id=head.snapshot_id,
        to_id=to_id,
        undo_tag=pin.name,
        schema_warning=warning,
        restores_schema=schema is not None,
    )


def plan_undo(
    state: TableState,
    *,
    undo_tag: str,
    branch: str,
    expected_head: int | None,
    restored_schema: SchemaUpdate | None,
    now: datetime,
    keep_days: int,
) -> RollbackPlan:
    """Point a branch back to where it was before a rollback.

    What was committed since the rollback would be left without a name: where the branch's new head does not reach it,
    it is pinned by an undo tag of its own, so that an undo loses as little as a rollback does. `restored_schema` is the
    schema change that the rollback made; it is taken back if the table still has the schema that the rollback set, and
    the one before it is still there with all that the partition spec and sort order need. Else the schema stays, with
    a warning where it differs.

    Raises:
        TagNotFoundError: no such tag.
        InvalidArgumentError: the tag is not one that a rollback left.
        As `plan_rollback`.
    """
    tag = get_tag(undo_tag, state.history, str(state.name))
    if find_convention(undo_tag) is not TagConvention.PRE_ROLLBACK:
        raise InvalidArgumentError("undoTag", f"{undo_tag!r} is no tag that a rollback left ({PRE_ROLLBACK}…)")
    head = get_branch(branch, state.history, str(state.name))
    _check_expected(state, head, expected_head)
    if head.snapshot_id == tag.snapshot_id:
        raise AlreadyCurrentError(str(state.name), branch, tag.snapshot_id)
    schema = None
    if (
        restored_schema is not None
        and state.current_schema_id == restored_schema.after
        and restored_schema.before in state.schemas
        and not _missing_fields(state, restored_schema.before)
    ):
        schema = SchemaUpdate(before=restored_schema.after, after=restored_schema.before)
    updates = [
        RefUpdate(name=undo_tag, before=tag.snapshot_id, after=tag),
        _move(head, tag.snapshot_id),
    ]
    pinned: str | None = None
    if all(snapshot.snapshot_id != head.snapshot_id for snapshot in state.history.ancestors(tag.snapshot_id)):
        # Whatever other ref reaches it now may be gone in a moment: only the branch's own new head is asserted here.
        pin = _undo_pin(state.history, now, head.snapshot_id, keep_days)
        pinned = pin.name
        updates.append(RefUpdate(name=pinned, before=None, after=pin))
    return RollbackPlan(
        plan=RefPlan(updates=tuple(updates), schema=schema),
        branch=branch,
        from_id=head.snapshot_id,
        to_id=tag.snapshot_id,
        undo_tag=pinned,
        schema_warning=None if schema else _schema_difference(state, tag.snapshot_id),
        restores_schema=schema is not None,
    )


def _schema_consequence(
    state: TableState, to_id: int, branch: str, *, restore_schema: bool
) -> tuple[SchemaUpdate | None, str | None]:
    difference = _schema_difference(state, to_id)
    if difference is None or not restore_schema:
        offer = " restoreSchema brings the older schema back." if branch == MAIN else ""
        return None, difference and difference + offer
    if branch != MAIN:
        raise InvalidArgumentError(
            "restoreSchema", "the schema belongs to the whole table; only main can bring it back"
        )
    schema_id = state.schema_of_snapshot(state.history.snapshots[to_id]).schema_id
    _check_schema_can_return(state, schema_id)
    return SchemaUpdate(before=state.current_schema_id, after=schema_id), None


def _schema_difference(state: TableState, to_id: int) -> str | None:
    snapshot = state.history.snapshots.get(to_id)
    if snapshot is None:
        raise VersionNotFoundError(str(state.name), str(to_id), "no snapshot has that id")
    phrases = describe_change(state.schema_of_snapshot(snapshot), state.current_schema)
    if not phrases:
        return None
    return (
        f"The table keeps its current schema, which differs from the one of snapshot {to_id}: since then it "
        f"{'; '.join(phrases)}."
    )


def _missing_fields(state: TableState, schema_id: int) -> list[int]:
    return sorted(state.required_field_ids - {field.field_id for field in state.schemas[schema_id].walk()})


def _check_schema_can_return(state: TableState, schema_id: int) -> None:
    missing = _missing_fields(state, schema_id)
    if missing:
        raise UnsupportedTableError(
            str(state.name),
            "restoreSchema",
            f"the current partition spec or sort order uses field ids {missing}, which the older schema lacks",
        )


def _create(name: str, kind: RefKind, snapshot_id: int, max_ref_age_ms: int | None = None) -> RefUpdate:
    ref = Ref(name=name, kind=kind, snapshot_id=snapshot_id, max_ref_age_ms=max_ref_age_ms)
    return RefUpdate(name=name, before=None, after=ref)


def _move(branch: Ref, to_id: int) -> RefUpdate:
    # Every retention setting is carried over: a ref is replaced whole, and what is not said again is lost.
    moved = Ref(
        name=branch.name,
        kind=branch.kind,
        snapshot_id=to_id,
        min_snapshots_to_keep=branch.min_snapshots_to_keep,
        max_snapshot_age_ms=branch.max_snapshot_age_ms,
        max_ref_age_ms=branch.max_ref_age_ms,
    )
    return RefUpdate(name=branch.name, before=branch.snapshot_id, after=moved)


def _undo_pin(history: History, now: datetime, snapshot_id: int, keep_days: int) -> Ref:
    """A tag of a name that is free, which expiry by any engine leaves alone for so many days from now on.

    Engines count a ref's age from its *snapshot's* timestamp (Iceberg's RemoveSnapshots), so the age that the snapshot
    has already comes on top: otherwise the pin of an old head would be expired as soon as it is set.
    """
    while True:
        stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S") + f"{now.microsecond // 1000:03d}Z"
        name = f"{PRE_ROLLBACK}{stamp}_{snapshot_id}"
        if name not in history.refs:
            break
        now += timedelta(milliseconds=1)
    snapshot = history.snapshots.get(snapshot_id)
    age_ms = max(0, int(now.timestamp() * 1000) - snapshot.timestamp_ms) if snapshot else 0
    max_ref_age_ms = min(ENDLESS_AGE_MS, age_ms + timedelta(days=keep_days) // timedelta(milliseconds=1))
    return Ref(name=name, kind=RefKind.TAG, snapshot_id=snapshot_id, max_ref_age_ms=max_ref_age_ms)


def _check_expected(state: TableState, ref: Ref, expected: int | None) -> None:
    if expected is not None and ref.snapshot_id != expected:
        raise HeadMovedError(str(state.name), ref.name, expected, ref.snapshot_id)


def _check_unprotected(state: TableState, name: str, *, force: bool, is_requested: bool) -> None:
    why = find_protection(name, is_requested=is_requested)
    if why and not force:
        raise ProtectedTagError(str(state.name), name, why)
