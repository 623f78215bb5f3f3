"""Retention: which versions of a dataset stay, why, until when, and what expiring the others frees."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from app.domain.history import to_instant
from app.domain.retention import plans
from app.domain.retention.explaining import explain_snapshot
from app.domain.retention.explaining_tables import TableBytes, explain_table
from app.domain.retention.overrides import TableRules
from app.errors import AppError, InvalidArgumentError
from app.graphql.context import Info
from app.graphql.fields import field
from app.graphql.retention_loaders import MAX_MEASURES, PlanKey
from app.graphql.scalars import BigInt, SnapshotId
from app.graphql.types.snapshot import Snapshot, find_snapshot, snapshot_of
from app.lake.table import LakeTable
from app.services.retention_operations import PolicyOverrides

if TYPE_CHECKING:
    from app.graphql.types.dataset import Dataset

DEFAULT_LISTED = 100
MAX_LISTED = 1000

Listed = Annotated[int | None, strawberry.argument(description="At most so many, 1 to 1,000.")]


@strawberry.input(description="How much history is kept. What is left out is as the server has it.")
class RetentionPolicyInput:
    """How much history is kept."""

    keep_last_n: int | None = strawberry.field(
        default=None, description="So many of the newest snapshots of each branch, 0 to 1,000,000; 30 by default."
    )
    keep_days: int | None = strawberry.field(
        default=None, description="Every snapshot for so many days, 1 to 36,500; 90 by default."
    )
    keep_tagged: bool | None = strawberry.field(
        default=None,
        description="Whether all that a tag names is kept; true by default. Without it, tags that are not protected go "
        "with their snapshots.",
    )
    production_keep_days: int | None = strawberry.field(
        default=None, description="Every snapshot of a production dataset for so many days; 730 by default."
    )

    def overrides(self, *, allow_zero_days: bool) -> PolicyOverrides:
        """What of the policy is asked for, as the services take it."""
        return PolicyOverrides(
            keep_last_n=self.keep_last_n,
            keep_days=self.keep_days,
            keep_tagged=self.keep_tagged,
            production_keep_days=self.production_keep_days,
            allow_zero_days=allow_zero_days,
        )


@strawberry.type(description="The rules that hold for a dataset: the policy with what the table's properties add.")
class RetentionPolicy:
    """The rules that hold for a dataset."""

    keep_last_n: int = strawberry.field(description="So many of the newest snapshots of each branch are kept.")
    keep_days: int = strawberry.field(description="Every snapshot is kept for so many days.")
    keep_tagged: bool = strawberry.field(description="Whether all that a tag names is kept.")
    production_keep_days: int = strawberry.field(
        description="Every snapshot of a production dataset is kept for so many days."
    )
    is_production: bool = strawberry.field(description="Whether the dataset is kept as a production one.")
    is_expiry_enabled: bool = strawberry.field(
        description="False where the table has gc.enabled=false: then nothing of it expires."
    )

    @classmethod
    def of(cls, rules: TableRules) -> RetentionPolicy:
        """The rules as GraphQL shows them."""
        policy = rules.policy
        return cls(
            keep_last_n=policy.keep_last_n,
            keep_days=policy.keep_days,
            keep_tagged=policy.keep_tagged,
            production_keep_days=policy.production_keep_days,
            is_production=rules.is_production,
            is_expiry_enabled=rules.is_gc_enabled,
        )


@strawberry.type(description="What becomes of a snapshot, and why.")
class RetentionVerdict:
    """What becomes of a snapshot."""

    table: strawberry.Private[LakeTable]
    plan: strawberry.Private[plans.RetentionPlan]
    verdict: strawberry.Private[plans.Verdict]

    @field(description="The snapshot.")
    def snapshot(self) -> Snapshot:
        """The snapshot."""
        return snapshot_of(self.table, self.verdict.snapshot.snapshot_id)

    @field(description="Whether it stays.")
    def keep(self) -> bool:
        """Whether it stays."""
        return self.verdict.is_kept

    @field(
        description="All that keeps it: `head of main`, `recent (top 30)`, `tagged (audit_Q1_2026)`. Empty where "
        "nothing does."
    )
    def reasons(self) -> list[str]:
        """All that keeps it."""
        return list(self.verdict.texts)

    @field(
        description="The first instant at which it expires if nothing changes but the time; null of what never would, "
        "as things are."
    )
    def expires_at(self) -> datetime | None:
        """When it expires."""
        return self.verdict.expires_at

    @field(description="The same in sentences: each reason, until when it holds, and what would change the verdict.")
    def explanation(self) -> list[str]:
        """The verdict in sentences."""
        return explain_snapshot(self.plan, self.verdict)


@strawberry.type(description="What a tag, a model version, a release or a hold keeps that nothing else does.")
class PinnedBytes:
    """What one pin alone keeps."""

    pin: str = strawberry.field(description="The reason that it is: `tagged (audit_Q1_2026)`, `hold abcdefghij`.")
    bytes: BigInt = strawberry.field(
        description="Bytes of the files that no snapshot needs which something else keeps: what would be freed if this "
        "pin alone were dropped."
    )
    snapshots: int = strawberry.field(description="How many snapshots it keeps, alone or not.")


@strawberry.type(
    description="What stays of a dataset and what would expire, as things are now; nothing is changed. Bytes are "
    f"measured only where they are asked for, which reads all manifests of the table: at most {MAX_MEASURES} plans of "
    "one operation."
)
class RetentionPlan:
    """What stays of a dataset and what would expire."""

    key: strawberry.Private[PlanKey]
    plan: strawberry.Private[plans.RetentionPlan]

    @field(description="The dataset.")
    def dataset(self) -> Annotated[Dataset, strawberry.lazy("app.graphql.types.dataset")]:
        """The dataset."""
        from app.graphql.types.dataset import dataset_of

        return dataset_of(self.key.table)

    @field(description="The rules that it was made by.")
    def policy(self) -> RetentionPolicy:
        """The rules that it was made by."""
        return RetentionPolicy.of(self.plan.rules)

    @field(description="The moment that it was made for.")
    def planned_at(self) -> datetime:
        """The moment that it was made for."""
        return to_instant(self.plan.now_ms)

    @field(description="How many snapshots the dataset has.")
    def total_snapshots(self) -> int:
        """How many snapshots there are."""
        return len(self.plan.verdicts)

    @field(description="How many of them stay.")
    def keep_count(self) -> int:
        """How many stay."""
        return len(self.plan.kept)

    @field(description="How many of them expire.")
    def expire_count(self) -> int:
        """How many expire."""
        return len(self.plan.expired)

    @field(
        description="What stays, newest first; `keepCount` says whether these are all. All snapshots with their "
        "verdicts are in pages at `Dataset.snapshots`, as `Snapshot.retention`."
    )
    def keep(self, first: Listed = DEFAULT_LISTED) -> list[RetentionVerdict]:
        """What stays."""
        return self._show(self.plan.kept, first)

    @field(description="What expires, newest first; `expireCount` says whether these are all.")
    def expire(self, first: Listed = DEFAULT_LISTED) -> list[RetentionVerdict]:
        """What expires."""
        return self._show(self.plan.expired, first)

    @field(
        description="What becomes of one snapshot. One that is gone is an error of code SNAPSHOT_EXPIRED, which says "
        "who had it expired, when and why, where a run of ours did; `Dataset.pastExpiry` tells more."
    )
    async def verdict(
        self, info: Info, snapshot_id: Annotated[SnapshotId, strawberry.argument(description="Its id.")]
    ) -> RetentionVerdict | None:
        """What becomes of one snapshot."""
        table = self.key.table
        version = await info.context.datasets.resolve_with_record(table, f"snapshot:{snapshot_id}")
        return show_verdict(table, self.plan, version.snapshot_id)

    @field(description="Names of the tags that go, with their snapshots or by the age that is set on them.")
    def removed_tags(self) -> list[str]:
        """Names of the tags that go."""
        return sorted(self.plan.removed_refs)

    @field(
        description="What is odd about the table, and why carrying the plan out would be refused, where it would; "
        "nothing of it makes anything expire."
    )
    def warnings(self) -> list[str]:
        """What is odd about the table."""
        return [warning.text for warning in self.plan.warnings]

    @field(description="Bytes of all files that the snapshots of the dataset reach. Reads manifests.")
    async def bytes_total(self, info: Info) -> BigInt | None:
        """Bytes of all files."""
        return _bytes((await self._measured(info)).total)

    @field(description="Bytes that carrying the plan out frees, exact. Reads manifests.")
    async def bytes_freed(self, info: Info) -> BigInt | None:
        """Bytes that are freed."""
        return _bytes((await self._measured(info)).freed)

    @field(
        description="What each tag, model version, release and hold alone keeps, those that keep most first; "
        "`pinnedCount` says whether these are all. Sets, not sums: what two keep together is in neither. Reads "
        "manifests."
    )
    async def pinned(self, info: Info, first: Listed = DEFAULT_LISTED) -> list[PinnedBytes] | None:
        """What each pin alone keeps."""
        limit = _limit(first)
        measured = await self._measured(info)
        costly = sorted(measured.by_holder.items(), key=lambda pin: (-pin[1], pin[0]))[:limit]
        kept = self._kept_by()
        return [PinnedBytes(pin=pin, bytes=BigInt(size), snapshots=kept.get(pin, 0)) for pin, size in costly]

    @field(description="How many tags, model versions, releases and holds keep something. Reads manifests.")
    async def pinned_count(self, info: Info) -> int | None:
        """How many pins there are."""
        return len((await self._measured(info)).by_holder)

    @field(
        description="Answers in sentences: why so little expires, why storage grows although the policy runs, and "
        "which tags cost most."
    )
    async def explanation(
        self,
        info: Info,
        measured: Annotated[
            bool, strawberry.argument(description="Whether bytes are told; that reads manifests.")
        ] = True,
    ) -> list[str]:
        """The plan in sentences; where bytes cannot be measured, without them and with an error beside it."""
        table_bytes = TableBytes()
        if measured:
            try:
                table_bytes = await self._measured(info)
            except AppError as error:
                info.context.report(error, info.path)
        return explain_table(self.plan, table_bytes)

    async def _measured(self, info: Info) -> TableBytes:
        return await info.context.loaders.retention.measures.load(self.key)

    def _kept_by(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for verdict in self.plan.kept:
            for text in verdict.texts:
                counts[text] = counts.get(text, 0) + 1
        return counts

    def _show(self, verdicts: tuple[plans.Verdict, ...], first: int | None) -> list[RetentionVerdict]:
        return [
            RetentionVerdict(table=self.key.table, plan=self.plan, verdict=verdict)
            for verdict in verdicts[: _limit(first)]
        ]


def show_verdict(table: LakeTable, plan: plans.RetentionPlan, snapshot_id: int) -> RetentionVerdict | None:
    """What a plan makes of a snapshot; None where it is not in it."""
    verdict = plan.find_verdict(snapshot_id)
    if verdict is None or find_snapshot(table, snapshot_id) is None:
        return None
    return RetentionVerdict(table=table, plan=plan, verdict=verdict)


def _limit(first: int | None) -> int:
    limit = DEFAULT_LISTED if first is None else first
    if not 1 <= limit <= MAX_LISTED:
        raise InvalidArgumentError("first", f"{limit} is not between 1 and {MAX_LISTED}")
    return limit


def _bytes(size: int | None) -> BigInt | None:
    return None if size is None else BigInt(size)
