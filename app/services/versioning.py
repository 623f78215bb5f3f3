"""Changing versions: tags, branches, rollbacks. Every change is decided on a state, compared, set and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from app.domain.changes import ChangeKind, Command
from app.domain.history import MAIN, Ref
from app.domain.names import DatasetName
from app.domain.ref_changes import (
    RollbackPlan,
    plan_branch,
    plan_branch_removal,
    plan_rollback,
    plan_tag,
    plan_tag_move,
    plan_tag_removal,
    plan_undo,
)
from app.domain.ref_plans import RefPlan, SchemaUpdate
from app.domain.tags import warnings_for
from app.domain.versions import VersionSelector
from app.errors import InvalidArgumentError, JsonValue
from app.lake.table import LakeTable
from app.registry.changes import ChangeLog
from app.services.datasets import Datasets
from app.services.executing import Decision, Executed, Executor, Request
from app.settings import Settings

Version = VersionSelector | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagOutcome:
    """A tag as it is now; `is_unchanged` where it was so before."""

    table: LakeTable
    tag: Ref
    warnings: tuple[str, ...]
    is_unchanged: bool
    change_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchOutcome:
    """A branch as it is now; `is_unchanged` where it was so before."""

    table: LakeTable
    branch: Ref
    warnings: tuple[str, ...]
    is_unchanged: bool
    change_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefRemoval:
    """A ref that is gone, and the snapshot it was on."""

    table: LakeTable
    name: str
    snapshot_id: int
    change_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOutcome:
    """Where a branch was and is; with `dry_run`, where it would be."""

    table: LakeTable
    branch: str
    previous_id: int
    current_id: int
    undo_tag: Ref | None
    schema_warning: str | None
    restored_schema: bool
    dry_run: bool
    change_id: UUID | None


class Versioning:
    """Tags, branches and rollbacks of datasets.

    Every method raises, beside what it names: DatasetNotFoundError, UnreadableTableError, UnsupportedTableError (the
    catalog cannot change this table), LockTimeoutError, CommitConflictError, CommitStateUnknownError,
    IdempotencyKeyInUseError, IdempotencyKeyReusedError, BackendUnavailableError. Unless it is CommitStateUnknownError,
    an error means that nothing was changed.
    """

    def __init__(self, datasets: Datasets, changes: ChangeLog, executor: Executor, settings: Settings) -> None:
        self._datasets = datasets
        self._changes = changes
        self._executor = executor
        self._keep_days = settings.rollback_keep_days

    async def create_tag(
        self, name: DatasetName, tag: str, at: Version, command: Command, *, protected: bool = False
    ) -> TagOutcome:
        """Set a new tag. It is never moved: the same tag on the same snapshot is unchanged, elsewhere it is refused.

        Raises:
            InvalidNameError: the name is not allowed.
            TagExistsError, BranchExistsError: it is taken.
            As `Datasets.resolve`.
        """

        async def decide(table: LakeTable) -> Decision:
            version = await self._datasets.resolve_with_record(table, at)
            return Decision(
                plan=plan_tag(table.state, tag, version.snapshot_id),
                details={"tag": tag, "snapshotId": str(version.snapshot_id), "protected": protected},
            )

        request = Request(
            kind=ChangeKind.TAG_CREATED,
            dataset=name,
            arguments={"tag": tag, "at": repr(at), "protected": protected},
            is_protection_requested=protected,
        )
        done = await self._executor.execute(request, command, decide)
        return self._tag_outcome(done, tag)

    async def move_tag(
        self,
        name: DatasetName,
        tag: str,
        to: Version,
        command: Command,
        *,
        expected_target: int | None = None,
        force: bool = False,
    ) -> TagOutcome:
        """Point an existing tag to another snapshot.

        Raises:
            TagNotFoundError: no such tag.
            HeadMovedError: it is not at `expected_target`.
            ProtectedTagError: it is protected and `force` is not given.
            As `Datasets.resolve`.
        """

        async def decide(table: LakeTable) -> Decision:
            version = await self._datasets.resolve_with_record(table, to)
            plan = plan_tag_move(
                table.state,
                tag,
                version.snapshot_id,
                expected=expected_target,
                force=force,
                is_protection_requested=await self._is_protection_requested(table, tag),
            )
            before = table.state.history.refs[tag].snapshot_id
            return Decision(
                plan=plan,
                details={"tag": tag, "snapshotId": str(version.snapshot_id), "from": str(before), "forced": force},
            )

        arguments: dict[str, JsonValue] = {"tag": tag, "to": repr(to), "expected": str(expected_target), "force": force}
        request = Request(kind=ChangeKind.TAG_MOVED, dataset=name, arguments=arguments)
        done = await self._executor.execute(request, command, decide)
        return self._tag_outcome(done, tag)

    async def delete_tag(
        self,
        name: DatasetName,
        tag: str,
        command: Command,
        *,
        expected_target: int | None = None,
        force: bool = False,
    ) -> RefRemoval:
        """Remove a tag. Raises as `move_tag`."""

        async def decide(table: LakeTable) -> Decision:
            plan = plan_tag_removal(
                table.state,
                tag,
                expected=expected_target,
                force=force,
                is_protection_requested=await self._is_protection_requested(table, tag),
            )
            return Decision(plan=plan, details={"tag": tag, "snapshotId": str(plan.updates[0].before), "forced": force})

        arguments: dict[str, JsonValue] = {"tag": tag, "expected": str(expected_target), "force": force}
        request = Request(kind=ChangeKind.TAG_DELETED, dataset=name, arguments=arguments)
        return _removal(await self._executor.execute(request, command, decide), tag)

    async def create_branch(self, name: DatasetName, branch: str, at: Version, command: Command) -> BranchOutcome:
        """Set a new branch. Raises as `create_tag`."""

        async def decide(table: LakeTable) -> Decision:
            version = await self._datasets.resolve_with_record(table, at)
            return Decision(
                plan=plan_branch(table.state, branch, version.snapshot_id),
                details={"branch": branch, "snapshotId": str(version.snapshot_id)},
            )

        request = Request(kind=ChangeKind.BRANCH_CREATED, dataset=name, arguments={"branch": branch, "at": repr(at)})
        done = await self._executor.execute(request, command, decide)
        return BranchOutcome(
            table=done.table,
            branch=_ref_of(done, branch),
            warnings=(),
            is_unchanged=done.is_unchanged,
            change_id=done.change_id,
        )

    async def delete_branch(
        self, name: DatasetName, branch: str, command: Command, *, expected_head: int | None = None
    ) -> RefRemoval:
        """Remove a branch; what only it reached is left to expiry.

        Raises:
            ProtectedBranchError: it is main.
            BranchNotFoundError: no such branch.
            HeadMovedError: it is not at `expected_head`.
        """

        async def decide(table: LakeTable) -> Decision:
            plan = plan_branch_removal(table.state, branch, expected=expected_head)
            return Decision(plan=plan, details={"branch": branch, "snapshotId": str(plan.updates[0].before)})

        arguments: dict[str, JsonValue] = {"branch": branch, "expected": str(expected_head)}
        request = Request(kind=ChangeKind.BRANCH_DELETED, dataset=name, arguments=arguments)
        return _removal(await self._executor.execute(request, command, decide), branch)

    async def roll_back(
        self,
        name: DatasetName,
        to: Version,
        command: Command,
        *,
        branch: str = MAIN,
        expected_head: int | None = None,
        restore_schema: bool = False,
        dry_run: bool = False,
    ) -> RollbackOutcome:
        """Point a branch to any other snapshot of the table; the state before stays, under an undo tag.

        Tag and head are set in one commit. A rollback leaves the table's schema as it is, unless `restore_schema`; what
        that means for readers is told.

        Raises:
            AlreadyCurrentError: the branch is there already.
            HeadMovedError: the branch is not at `expected_head`.
            BranchNotFoundError, NoSnapshotError, InvalidArgumentError (restoreSchema), as `Datasets.resolve`.
        """

        async def decide(table: LakeTable) -> Decision:
            version = await self._datasets.resolve_with_record(table, to)
            plan = plan_rollback(
                table.state,
                to_id=version.snapshot_id,
                branch=branch,
                expected_head=expected_head,
                restore_schema=restore_schema,
                now=datetime.now(UTC),
                keep_days=self._keep_days,
            )
            return Decision(plan=plan.plan, details=_rollback_details(plan))

        if dry_run:
            table = await self._datasets.load(name)
            decision = await decide(table)
            return _rollback_outcome(Executed(table=table, change_id=None, details=decision.details), decision.plan)
        arguments: dict[str, JsonValue] = {
            "to": repr(to),
            "branch": branch,
            "expected": str(expected_head),
            "restoreSchema": restore_schema,
        }
        request = Request(kind=ChangeKind.ROLLED_BACK, dataset=name, arguments=arguments)
        return _rollback_outcome(await self._executor.execute(request, command, decide))

    async def undo_rollback(
        self, name: DatasetName, undo_tag: str, command: Command, *, expected_head: int | None = None
    ) -> RollbackOutcome:
        """Point the branch of a rollback back to where it was.

        What was committed since then stays reachable too, by an undo tag of its own where nothing else names it. A
        schema that the rollback restored is changed back with it.

        Raises:
            TagNotFoundError: no such tag.
            InvalidArgumentError: a tag that no rollback left.
            AlreadyCurrentError: undone already.
            HeadMovedError: the branch is not at `expected_head`.
        """

        async def decide(table: LakeTable) -> Decision:
            recorded = await self._changes.find_rollback(table.state.table_uuid, undo_tag)
            details = recorded.details if recorded else {}
            branch = details.get("branch", MAIN)
            if not isinstance(branch, str):
                raise InvalidArgumentError("undoTag", "its record does not name a branch")
            plan = plan_undo(
                table.state,
                undo_tag=undo_tag,
                branch=branch,
                expected_head=expected_head,
                restored_schema=_schema_of(details),
                now=datetime.now(UTC),
                keep_days=self._keep_days,
            )
            return Decision(plan=plan.plan, details={**_rollback_details(plan), "undone": undo_tag})

        arguments: dict[str, JsonValue] = {"undoTag": undo_tag, "expected": str(expected_head)}
        request = Request(kind=ChangeKind.ROLLBACK_UNDONE, dataset=name, arguments=arguments)
        return _rollback_outcome(await self._executor.execute(request, command, decide))

    async def _is_protection_requested(self, table: LakeTable, tag: str) -> bool:
        key = (table.state.table_uuid, tag)
        record = (await self._changes.tag_records([key])).get(key)
        ref = table.state.history.refs.get(tag)
        # A record of another snapshot is of a tag that others replaced since.
        return bool(record and ref and record.snapshot_id == ref.snapshot_id and record.is_protection_requested)

    def _tag_outcome(self, done: Executed, tag: str) -> TagOutcome:
        warnings = warnings_for(tag)
        if done.is_unchanged:
            warnings.append(f"The tag {tag!r} was there already, on this snapshot; nothing was changed.")
        return TagOutcome(
            table=done.table,
            tag=_ref_of(done, tag),
            warnings=tuple(warnings),
            is_unchanged=done.is_unchanged,
            change_id=done.change_id,
        )


def _ref_of(done: Executed, name: str) -> Ref:
    """The ref that a change set: from the plan, because by now others may have changed it again."""
    for update in done.plan.updates if done.plan else ():
        if update.name == name and update.after is not None:
            return update.after
    return done.table.state.history.refs[name]


def _removal(done: Executed, name: str) -> RefRemoval:
    removed = done.details["snapshotId"]
    return RefRemoval(table=done.table, name=name, snapshot_id=int(str(removed)), change_id=done.change_id)


def _rollback_details(plan: RollbackPlan) -> dict[str, JsonValue]:
    schema = plan.plan.schema
    return {
        "branch": plan.branch,
        "from": str(plan.from_id),
        "to": str(plan.to_id),
        "undoTag": plan.undo_tag,
        "schemaWarning": plan.schema_warning,
        "schema": None if schema is None else {"before": schema.before, "after": schema.after},
    }


def _schema_of(details: Mapping[str, JsonValue]) -> SchemaUpdate | None:
    schema = details.get("schema")
    if not isinstance(schema, dict):
        return None
    return SchemaUpdate(before=int(str(schema["before"])), after=int(str(schema["after"])))


def _rollback_outcome(done: Executed, planned: RefPlan | None = None) -> RollbackOutcome:
    details = done.details
    undo_tag, warning = details["undoTag"], details["schemaWarning"]
    plan = done.plan or planned
    refs = {update.name: update.after for update in plan.updates} if plan else {}
    return RollbackOutcome(
        table=done.table,
        branch=str(details["branch"]),
        previous_id=int(str(details["from"])),
        current_id=int(str(details["to"])),
        undo_tag=refs.get(undo_tag) if isinstance(undo_tag, str) else None,
        schema_warning=warning if isinstance(warning, str) else None,
        restored_schema=details["schema"] is not None,
        dry_run=planned is not None,
        change_id=done.change_id,
    )
