"""Compaction as an operation: asked for now, done by whatever worker is free."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast

from app.domain.changes import Actor, Command
from app.domain.compaction.policy import CompactionPolicy
from app.domain.compaction.ranking import Budget
from app.domain.names import DatasetName
from app.domain.operations import Operation, OperationKind
from app.errors import JsonValue, placed
from app.services.compaction.entries import cut_entry, policy_entry, summary_entry
from app.services.compaction.planning import CompactionPlanning
from app.services.compaction.sweeps import CompactionSweeps, Limits
from app.services.operation_handlers import Progress
from app.services.operations import Operations
from app.services.retention_sweeps import Chosen, RetentionSweeps


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionOverrides:
    """What of the policy is asked for otherwise; None is as its default."""

    target_file_size_mb: int | None = None
    min_file_size_mb: int | None = None
    max_concurrent_files: int | None = None
    rewrite_all: bool | None = None

    def applied_to(self, policy: CompactionPolicy) -> CompactionPolicy:
        """The policy with these.

        Raises:
            InvalidArgumentError: a value that is out of range, by its name in the GraphQL schema.
        """
        changed = {
            name: value
            for name in ("target_file_size_mb", "min_file_size_mb", "max_concurrent_files", "rewrite_all")
            if (value := getattr(self, name)) is not None
        }
        return replace(policy, **changed)


class CompactionOperations:
    """Starts compaction as an operation, and does it in the worker."""

    def __init__(
        self, operations: Operations, planning: CompactionPlanning, sweeps: CompactionSweeps, chosen: RetentionSweeps
    ) -> None:
        self._operations = operations
        self._planning = planning
        self._sweeps = sweeps
        self._chosen = chosen

    async def start(
        self,
        chosen: Chosen,
        overrides: CompactionOverrides,
        command: Command,
        limits: Limits | None = None,
        *,
        is_dry_run: bool,
    ) -> Operation:
        """Let a worker plan or carry out compaction; answers at once.

        Raises:
            InvalidArgumentError: the policy is none.
            As `RetentionSweeps.visible`, and as `Operations.start`.
        """
        with placed("policy"):
            policy = overrides.applied_to(self._planning.default_policy())
        with placed("namespace") if chosen.namespace is not None else nullcontext():
            await self._chosen.visible(chosen)
        limits = limits or Limits()
        request: dict[str, JsonValue] = {
            "dataset": None if chosen.dataset is None else str(chosen.dataset),
            "namespace": chosen.namespace,
            "all": chosen.is_all,
            "policy": cast("JsonValue", policy_entry(policy)),
            "budget_bytes": limits.budget.size_bytes,
            "budget_seconds": limits.budget.seconds,
            "due_only": limits.is_due_only,
            "skip_active_seconds": None if limits.skip_active is None else int(limits.skip_active.total_seconds()),
            "dry_run": is_dry_run,
            "requested_by": command.actor.subject,
            "reason": command.reason,
        }
        return await self._operations.start(OperationKind.COMPACTION, request, command)

    async def run(self, request: Mapping[str, JsonValue], progress: Progress) -> JsonValue:
        """Do it; a stage of `OperationHandler`. The result has the shape of the REST answer, its lists cut.

        Begun again after its worker died, it plans anew, and so goes on with what is left.

        Raises:
            As `RetentionSweeps.visible` and `CompactionSweeps.sweep`.
        """
        dataset, namespace = cast("str | None", request["dataset"]), cast("str | None", request["namespace"])
        chosen = Chosen(
            dataset=None if dataset is None else DatasetName.parse(dataset),
            namespace=namespace,
            is_all=bool(request["all"]),
        )
        command = Command(
            actor=Actor(subject=str(request["requested_by"])), reason=cast("str | None", request["reason"])
        )
        listing = await self._chosen.visible(chosen)
        sweep = self._sweeps.sweep(
            listing.names,
            _policy_from(cast("dict[str, JsonValue]", request["policy"])),
            _limits_from(request),
            command,
            progress.report,
            is_dry_run=bool(request["dry_run"]),
            hidden=listing.hidden,
            operation_id=progress.operation_id,
            # Of one table a failure is that of the operation.
            ends_with_failure=dataset is not None,
        )
        return cast("JsonValue", summary_entry([cut_entry(entry) async for entry in sweep]))


def _policy_from(document: Mapping[str, JsonValue]) -> CompactionPolicy:
    return CompactionPolicy(
        target_file_size_mb=cast("int", document["target_file_size_mb"]),
        min_file_size_mb=cast("int", document["min_file_size_mb"]),
        max_concurrent_files=cast("int", document["max_concurrent_files"]),
        rewrite_all=bool(document["rewrite_all"]),
    )


def _limits_from(request: Mapping[str, JsonValue]) -> Limits:
    skip_s = cast("int | None", request["skip_active_seconds"])
    return Limits(
        budget=Budget(
            size_bytes=cast("int | None", request["budget_bytes"]),
            seconds=cast("int | None", request["budget_seconds"]),
        ),
        is_due_only=bool(request["due_only"]),
        skip_active=None if skip_s is None else timedelta(seconds=skip_s),
    )
