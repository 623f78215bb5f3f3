"""Retention as an operation: asked for now, done by whatever worker is free."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import cast

from app.domain.changes import Actor, Command
from app.domain.names import DatasetName
from app.domain.operations import Operation, OperationKind
from app.domain.retention.policy import RetentionPolicy
from app.errors import InvalidArgumentError, JsonValue, placed
from app.services.operation_handlers import Progress
from app.services.operations import Operations
from app.services.retention_entries import cut_entry, summary_entry
from app.services.retention_planning import RetentionPlanning
from app.services.retention_sweeps import Chosen, RetentionSweeps

ZERO_DAYS = (
    "0 days expire all that nothing else keeps; look at a dry run, and set allowZeroDays (in REST allow_zero_days) if "
    "that is meant"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOverrides:
    """What of the policy is asked for otherwise; None is as the settings have it."""

    keep_last_n: int | None = None
    keep_days: int | None = None
    keep_tagged: bool | None = None
    production_keep_days: int | None = None
    allow_zero_days: bool = False

    def applied_to(self, policy: RetentionPolicy, *, is_dry_run: bool = False) -> RetentionPolicy:
        """The policy with these. A dry run may ask for 0 days without `allow_zero_days`, since nothing comes of it.

        Raises:
            InvalidArgumentError: a value that is out of range, by its name in the GraphQL schema.
        """
        allows_zero = self.allow_zero_days or is_dry_run
        for argument, days in (("keepDays", self.keep_days), ("productionKeepDays", self.production_keep_days)):
            if days == 0 and not allows_zero:
                raise InvalidArgumentError(argument, ZERO_DAYS)
        changed = {
            name: value
            for name in ("keep_last_n", "keep_days", "keep_tagged", "production_keep_days")
            if (value := getattr(self, name)) is not None
        }
        return replace(policy, allow_zero_days=allows_zero, **changed)


class RetentionOperations:
    """Starts retention as an operation, and does it in the worker."""

    def __init__(self, operations: Operations, planning: RetentionPlanning, sweeps: RetentionSweeps) -> None:
        self._operations = operations
        self._planning = planning
        self._sweeps = sweeps

    async def start(
        self, chosen: Chosen, overrides: PolicyOverrides, command: Command, *, is_dry_run: bool
    ) -> Operation:
        """Let a worker plan or carry out retention; answers at once.

        Raises:
            InvalidArgumentError: the policy is none.
            As `RetentionSweeps.names`, and as `Operations.start`.
        """
        with placed("policy"):
            policy = overrides.applied_to(self._planning.default_policy(), is_dry_run=is_dry_run)
        with placed("namespace") if chosen.namespace is not None else nullcontext():
            await self._sweeps.names(chosen)
        request: dict[str, JsonValue] = {
            "dataset": None if chosen.dataset is None else str(chosen.dataset),
            "namespace": chosen.namespace,
            "all": chosen.is_all,
            "policy": {
                "keep_last_n": policy.keep_last_n,
                "keep_days": policy.keep_days,
                "keep_tagged": policy.keep_tagged,
                "production_keep_days": policy.production_keep_days,
                "production_namespaces": list(policy.production_namespaces),
                "allow_zero_days": policy.allow_zero_days,
            },
            "dry_run": is_dry_run,
            "requested_by": command.actor.subject,
            "reason": command.reason,
        }
        return await self._operations.start(OperationKind.RETENTION, request, command)

    async def run(self, request: Mapping[str, JsonValue], progress: Progress) -> JsonValue:
        """Do it; a stage of `OperationHandler`. The result has the shape of the REST answer, its lists cut.

        Begun again after its worker died, it finishes what that one has left, and expires what is left to expire.

        Raises:
            As `RetentionSweeps.names` and `sweep`.
        """
        dataset, namespace = cast("str | None", request["dataset"]), cast("str | None", request["namespace"])
        chosen = Chosen(
            dataset=None if dataset is None else DatasetName.parse(dataset),
            namespace=namespace,
            is_all=bool(request["all"]),
        )
        policy = _policy_from(cast("dict[str, JsonValue]", request["policy"]))
        command = Command(
            actor=Actor(subject=str(request["requested_by"])), reason=cast("str | None", request["reason"])
        )
        names = await self._sweeps.names(chosen)
        entries = [
            cut_entry(entry)
            async for entry in self._sweeps.sweep(
                names,
                policy,
                command,
                progress.report,
                is_dry_run=bool(request["dry_run"]),
                operation_id=progress.operation_id,
                # Of one dataset, whose failure is that of the operation. Of many, the others are done all the same.
                ends_with_failure=dataset is not None,
            )
        ]
        return cast("JsonValue", summary_entry(entries))


def _policy_from(document: Mapping[str, JsonValue]) -> RetentionPolicy:
    return RetentionPolicy(
        keep_last_n=cast("int", document["keep_last_n"]),
        keep_days=cast("int", document["keep_days"]),
        keep_tagged=cast("bool", document["keep_tagged"]),
        production_keep_days=cast("int", document["production_keep_days"]),
        production_namespaces=tuple(map(str, cast("list[JsonValue]", document["production_namespaces"]))),
        allow_zero_days=cast("bool", document["allow_zero_days"]),
    )
