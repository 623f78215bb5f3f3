"""What retention would do to a table, and what that would free: all that is needed to decide, and nothing changed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from app.domain.changes import TagRecord
from app.domain.holds import Hold
from app.domain.names import DatasetName
from app.domain.retention import holders as rules
from app.domain.retention.explaining_tables import TableBytes
from app.domain.retention.planning import plan_retention
from app.domain.retention.plans import PlanWarning, RetentionPlan, WarningKind
from app.domain.retention.policy import RetentionPolicy
from app.domain.retention.reasons import ReasonKind
from app.errors import Forbidden, UnsupportedTableError
from app.lake.expire.reachable import ExpiryPlan
from app.lake.neighbours import Neighbour, Neighbours, hidden_from, why_hidden
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
_SHOWN_HIDDEN = 3
_SIZE = re.compile(r"[0-9]{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPlan:
    """A plan for a table as it was loaded, and what carrying it out frees, to the byte.

    `hidden` are tables, and namespaces, of which it is not known where they have their files, so that files which they
    share with this one are not told from its own.
    """

    table: LakeTable
    plan: RetentionPlan
    files: ExpiryPlan
    hidden: tuple[Neighbour, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What to know before it is carried out: those of the plan, and what could not be looked at."""
        found = [warning.text for warning in self.plan.warnings]
        if self.hidden and not self.files.expiry.is_empty:
            shown = ", ".join(map(str, self.hidden[:_SHOWN_HIDDEN])) + (" ..." if self.hidden[_SHOWN_HIDDEN:] else "")
            found.append(
                f"The catalog forbids us to look at {shown}: where it has its files cannot be told, so that nothing "
                "would be expired"
            )
        return found

    @property
    def why_refused(self) -> Forbidden | None:
        """Why it is not carried out: files that would be deleted may be those of a table that nobody may look at."""
        return why_hidden(self.table.state.name, self.hidden)

    @property
    def pinned(self) -> Mapping[str, int]:
        """The bytes that each tag, model, release or hold alone keeps, by its reason; those that keep any."""
        return {text: size for text, size in self.files.pinned.items() if text in self._named}

    @property
    def table_bytes(self) -> TableBytes:
        """What the table weighs. The data that the head of main reads is taken from what its commit said of it."""
        history = self.table.state.history
        head = None if history.head_id is None else history.snapshots.get(history.head_id)
        live = "" if head is None else head.summary.get("total-files-size", "")
        return TableBytes(
            total=self.files.total.size_bytes,
            live=int(live) if _SIZE.fullmatch(live) else None,
            freed=self.files.freed.size_bytes,
            by_holder={text: self.files.pinned.get(text, 0) for text in self._named},
        )

    @property
    def _named(self) -> set[str]:
        return {reason.text for verdict in self.plan.kept for reason in verdict.reasons if reason.kind in NAMED}


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

    async def holders(self, tables: Sequence[LakeTable]) -> list[rules.Holders]:
        """Of each of the tables, all that needs snapshots of it beyond the names of its tags; three statements.

        Raises:
            BackendUnavailableError: Postgres is away, and so nothing is known to be unneeded.
        """
        uuids = [table.state.table_uuid for table in tables]
        pins = await self._pins.list_of_tables(uuids)
        holds = await self._holds.list_of_tables(uuids)
        records = await self._datasets.tag_records(
            [(table.state.table_uuid, tag.name) for table in tables for tag in table.state.history.tags]
        )
        return [
            rules.Holders(
                pins=tuple(pins.get(table.state.table_uuid, ())),
                holds=tuple(map(_to_rule, holds.get(table.state.table_uuid, ()))),
                protected_tags=_protected_tags(table, records),
            )
            for table in tables
        ]

    async def plan(
        self, name: DatasetName, policy: RetentionPolicy, *, now: datetime | None = None
    ) -> tuple[LakeTable, RetentionPlan]:
        """What stays and what goes, without what that frees. Costs loading the table, and a few statements.

        Raises:
            DatasetNotFoundError, UnreadableTableError, BackendUnavailableError: as `Datasets.load`.
            InvalidTablePropertyError: a property of the table has a value that it cannot have.
        """
        table = await self._datasets.load(name)
        (holders,) = await self.holders([table])
        return table, await self.plan_table(table, policy, holders, now=now)

    async def plan_table(
        self, table: LakeTable, policy: RetentionPolicy, holders: rules.Holders, *, now: datetime | None = None
    ) -> RetentionPlan:
        """The same for a table as it was loaded, with what needs its snapshots; asks no store.

        A plan that would be refused if it were carried out says so in its warnings.

        Raises:
            InvalidTablePropertyError: a property of the table has a value that it cannot have.
        """
        state = table.state

        def decide() -> RetentionPlan:
            return plan_retention(
                state.history,
                policy,
                properties=state.properties,
                is_production=policy.is_production(state.name, state.properties),
                holders=holders,
                now=now or datetime.now(UTC),
            )

        # A thousand snapshots take some 30 ms, and a page of datasets has many.
        return self._with_refusal(table, await asyncio.to_thread(decide))

    def _with_refusal(self, table: LakeTable, plan: RetentionPlan) -> RetentionPlan:
        if plan.is_empty:
            return plan
        try:
            self._lake.check_writable(table)
        except UnsupportedTableError as error:
            text = f"Carrying this out would be refused: {error.message}"
            return replace(plan, warnings=(PlanWarning(kind=WarningKind.REFUSED_HERE, text=text), *plan.warnings))
        return plan

    async def measure(
        self, name: DatasetName, policy: RetentionPolicy, neighbours: Neighbours, *, now: datetime | None = None
    ) -> MeasuredPlan:
        """The plan, and what it frees. Costs reading all manifests, once each.

        Raises:
            UnsupportedTableError: whose the table's files are cannot be told.
            As `plan`.
        """
        table, plan = await self.plan(name, policy, now=now)
        return await self.measure_plan(table, plan, neighbours)

    async def measure_plan(self, table: LakeTable, plan: RetentionPlan, neighbours: Neighbours) -> MeasuredPlan:
        """What a plan for a table as it was loaded frees. Costs reading all manifests, once each.

        Raises:
            UnsupportedTableError: whose the table's files are cannot be told.
            UnreadableTableError: a manifest cannot be read.
        """
        kept_by: dict[str, set[int]] = {}
        for verdict in plan.kept:
            for reason in verdict.reasons:
                kept_by.setdefault(reason.text, set()).add(verdict.snapshot.snapshot_id)
        files = await self._lake.measure_expiry(table, plan.expired_ids, plan.removed_refs, kept_by, neighbours)
        hidden = tuple(hidden_from(table.state.name, neighbours))
        return MeasuredPlan(table=table, plan=plan, files=files, hidden=hidden)


def _protected_tags(table: LakeTable, records: Mapping[tuple[UUID, str], TagRecord]) -> frozenset[str]:
    """The tags for which protection was asked, where they still are on the snapshot that it was asked for."""
    found = (records.get((table.state.table_uuid, tag.name)) for tag in table.state.history.tags)
    return frozenset(
        record.name
        for record in found
        if record is not None and record.is_protection_requested and _is_there(table, record.name, record.snapshot_id)
    )


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
