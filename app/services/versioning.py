"""Changing versions: tags, branches, rollbacks. Every change is decided on a state, compared, set and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

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
from app.domain.ref_plans import RefPlan, RefUpdate, SchemaUpdate
from app.domain.tags import warnings_for
from app.domain.versions import VersionSelector
from app.errors import AlreadyUndoneError, InvalidArgumentError, JsonValue
from app.lake.table import LakeTable
from app.registry.changes import ChangeLog
from app.services.datasets import Datasets
from app.services.executing import Decision, Executed, Executor, Request
from app.services.outcomes import BranchOutcome, RefRemoval, RollbackOutcome, TagOutcome
from app.settings import Settings

Version = VersionSelector | str | None


class Versioning:
    """Tags, branches and rollbacks of datasets.

    Every method raises, beside what it names: DatasetNotFoundError, UnreadableTableError, UnsupportedTableError (the
    catalog cannot change this table), LockTimeoutError, CommitConflictError, CommitStateUnknownError,
    DatasetForbiddenError, MetadataNotWrittenError, IdempotencyKeyInUseError, IdempotencyKeyReusedError,
    BackendUnavailableError. Unless it is CommitStateUnknownError, an error means that nothing was changed.
    """

    def __init__(self, datasets: Datasets, changes: ChangeLog, executor: Executor, settings: Settings) -> None:
        self._datasets = datasets
        self._changes = changes
        self._executor = executor
        self._keep_days = settings.rollback_keep_days

    async def create_tag(
        self,
        name: DatasetName,
        tag: str,
        at: Version,
        command: Command,
        *,
        protected: bool = False,
        endless: bool = False,
    ) -> TagOutcome:
        """Set a new tag. It is never moved: the same tag on the same snapshot is unchanged, elsewhere it is refused.

        `protected` asked for a tag that is there is recorded, with who set the tag left as it is. So is `endless`,
        which gives the tag a max-ref-age-ms by which no engine ends it, whatever the table's properties say.

        Raises:
            InvalidNameError: the name is not allowed.
            TagExistsError, BranchExistsError: it is taken.
            As `Datasets.resolve`.
        """

        async def decide(table: LakeTable) -> Decision:
            version = await self._datasets.resolve_with_record(table, at)
            plan = plan_tag(table.state, tag, version.snapshot_id, endless=endless)
            details: dict[str, JsonValue] = {
                "tag": tag,
                "snapshotId": str(version.snapshot_id),
                "protected": protected,
            }
            if plan is not None:
                if tag in table.state.history.refs:
                    details["ageOnly"] = True
                return Decision(plan=plan, details=details, is_protection_requested=protected)
            is_news = protected and not await self._is_protection_requested(table, tag)
            return Decision(
                plan=None,
                details={**details, "protectionOnly": True} if is_news else details,
                as_it_is=RefPlan.as_it_is(table.state.history.refs[tag]),
                is_protection_requested=is_news,
                is_protection_news=is_news,
            )

        arguments: dict[str, JsonValue] = {"tag": tag, "at": repr(at), "protected": protected}
        if endless:
            arguments["endless"] = True
        request = Request(kind=ChangeKind.TAG_CREATED, dataset=name, arguments=arguments)
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
        """Point an existing tag to another snapshot. A protection that was asked for it goes along.

        Raises:
            TagNotFoundError: no such tag.
            HeadMovedError: it is not at `expected_target`.
            ProtectedTagError: it is protected and `force` is not given.
            As `Datasets.resolve`.
        """

        async def decide(table: LakeTable) -> Decision:
            version = await self._datasets.resolve_with_record(table, to)
            is_protected = await self._is_protection_requested(table, tag)
            plan = plan_tag_move(
                table.state,
                tag,
                version.snapshot_id,
                expected=expected_target,
                force=force,
                is_protection_requested=is_protected,
            )
            before = table.state.history.refs[tag]
            return Decision(
                plan=plan,
                details={
                    "tag": tag,
                    "snapshotId": str(version.snapshot_id),
                    "from": str(before.snapshot_id),
                    "forced": force,
                },
                as_it_is=RefPlan.as_it_is(before),
                # The protection is of the name: it goes along.
                is_protection_requested=is_protected and plan is not None,
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
            plan = plan_branch(table.state, branch, version.snapshot_id)
            return Decision(
                plan=plan,
                details={"branch": branch, "snapshotId": str(version.snapshot_id)},
                as_it_is=None if plan else RefPlan.as_it_is(table.state.history.refs[branch]),
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
            AlreadyUndoneError: undone already, and the branch has moved on; `expected_head` says that it is meant.
            HeadMovedError: the branch is not at `expected_head`.
        """

        async def decide(table: LakeTable) -> Decision:
            recorded = await self._changes.find_rollback(table.state.table_uuid, undo_tag)
            details = recorded.details if recorded else {}
            branch = _branch_of_rollback(table, undo_tag, details)
            plan = plan_undo(
                table.state,
                undo_tag=undo_tag,
                branch=branch,
                expected_head=expected_head,
                restored_schema=_schema_of(details),
                now=datetime.now(UTC),
                keep_days=self._keep_days,
            )
            if expected_head is None and await self._changes.is_undone(table.state.table_uuid, undo_tag):
                raise AlreadyUndoneError(str(name), undo_tag, plan.from_id)
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
            is_new=any(update.name == tag and update.before is None for update in _updates(done)),
            is_unchanged=done.is_unchanged,
            change_id=done.change_id,
        )


def _updates(done: Executed) -> tuple[RefUpdate, ...]:
    return done.plan.updates if done.plan else ()


def _ref_of(done: Executed, name: str) -> Ref:
    """The ref that a change set: from the plan, because by now others may have changed it again."""
    for update in _updates(done):
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


def _branch_of_rollback(table: LakeTable, undo_tag: str, details: Mapping[str, JsonValue]) -> str:
    branch = details.get("branch")
    if isinstance(branch, str):
        return branch
    if len(table.state.history.branches) > 1 and undo_tag in table.state.history.refs:
        raise InvalidArgumentError(
            "undoTag", f"which branch it was of is not recorded here; roll that branch back to tag:{undo_tag} instead"
        )
    return MAIN


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
