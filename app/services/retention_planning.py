"""What retention would do to a table, and what that would free: all that is needed to decide, and nothing changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from app.domain.holds import Hold
from app.domain.names import DatasetName
from app.domain.retention import holders as rules
from app.domain.retention.planning import plan_retention
from app.domain.retention.plans import RetentionPlan
from app.domain.retention.policy import RetentionPolicy
from app.domain.retention.reasons import ReasonKind
from app.lake.expire.reachable import ExpiryPlan
from app.lake.neighbours import Neighbours
from app.lake.store import Lake
from app.lake.table import LakeTable
from app.registry.holds import HoldStore
from app.registry.pins import PinStore
from app.services.datasets import Datasets
from app.settings import Settings

# What somebody has set, and may take back; the others are rules.
NAMED = frozenset(
    {
        ReasonKind.TAGGED,
        ReasonKind.TRAINING_DATA,
        ReasonKind.RELEASE,
        ReasonKind.HOLD,
        ReasonKind.UNDO_PIN,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPlan:
    """A plan for a table as it was loaded, and what carrying it out frees, to the byte."""

    table: LakeTable
    plan: RetentionPlan
    files: ExpiryPlan

    @property
    def pinned(self) -> Mapping[str, int]:
        """The bytes that each tag, model, release or hold alone keeps, by its reason; those that keep any."""
        named = {reason.text for verdict in self.plan.kept for reason in verdict.reasons if reason.kind in NAMED}
        return {text: size for text, size in self.files.pinned.items() if text in named}


class RetentionPlanning:
    """Plans expiries."""

    def __init__(self, lake: Lake, datasets: Datasets, pins: PinStore, holds: HoldStore, settings: Settings) -> None:
        self._lake = lake
        self._datasets = datasets
        self._pins = pins
        self._holds = holds
        self._settings = settings

    def default_policy(self) -> RetentionPolicy:
        """The policy where nothing else is asked for."""
        return RetentionPolicy(production_namespaces=tuple(self._settings.production_namespaces))

    async def neighbours(self) -> Neighbours:
        """Where all tables have their files; to be asked once for all tables of a run. Costs loading all of them.

        Raises: as `Lake.list_neighbours`.
        """
        return await self._lake.list_neighbours()

    async def holders(self, table: LakeTable) -> rules.Holders:
        """All that needs snapshots of a table beyond the names of its tags.

        Raises:
            BackendUnavailableError: Postgres is away, and so nothing is known to be unneeded.
        """
        state = table.state
        pins = await self._pins.list_of_table(state.table_uuid)
        holds = await self._holds.list_of_table(state.table_uuid)
        records = await self._datasets.tag_records([(state.table_uuid, tag.name) for tag in state.history.tags])
        protected = {
            record.name
            for record in records.values()
            if record.is_protection_requested and _is_there(table, record.name, record.snapshot_id)
        }
        return rules.Holders(pins=tuple(pins), holds=tuple(map(_to_rule, holds)), protected_tags=frozenset(protected))

    async def plan(
        self, name: DatasetName, policy: RetentionPolicy, *, now: datetime | None = None
    ) -> tuple[LakeTable, RetentionPlan]:
        """What stays and what goes, without what that frees. Costs loading the table, and a few statements.

        Raises:
            DatasetNotFoundError, UnreadableTableError, BackendUnavailableError: as `Datasets.load`.
            InvalidArgumentError: a property of the table is none.
        """
        table = await self._datasets.load(name)
        plan = plan_retention(
            table.state.history,
            policy,
            properties=table.state.properties,
            is_production=policy.is_production(name, table.state.properties),
            holders=await self.holders(table),
            now=now or datetime.now(UTC),
        )
        return table, plan

    async def measure(
        self, name: DatasetName, policy: RetentionPolicy, neighbours: Neighbours, *, now: datetime | None = None
    ) -> MeasuredPlan:
        """The plan, and what it frees. Costs reading all manifests, once each.

        Raises:
            UnsupportedTableError: whose the table's files are cannot be told.
            As `plan`.
        """
        table, plan = await self.plan(name, policy, now=now)
        kept_by: dict[str, set[int]] = {}
        for verdict in plan.kept:
            for reason in verdict.reasons:
                kept_by.setdefault(reason.text, set()).add(verdict.snapshot.snapshot_id)
        files = await self._lake.measure_expiry(table, plan.expired_ids, plan.removed_refs, kept_by, neighbours)
        return MeasuredPlan(table=table, plan=plan, files=files)


def _is_there(table: LakeTable, tag: str, snapshot_id: int) -> bool:
    ref = table.state.history.refs.get(tag)
    return ref is not None and ref.snapshot_id == snapshot_id


def _to_rule(hold: Hold) -> rules.Hold:
    return rules.Hold(
        hold_id=hold.hold_id,
        snapshot_id=hold.snapshot_id,
        reason=hold.reason,
        actor=hold.placed_by.subject,
        placed_at=hold.placed_at,
    )
