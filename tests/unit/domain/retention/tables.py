"""Tables for the rules of retention: snapshots by their ages in days, and refs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from app.domain.history import MAIN, History, Ref, RefKind
from app.domain.names import DatasetName
from app.domain.pins import Pin, PinState
from app.domain.retention.holders import Holders
from app.domain.retention.instants import DAY_MS, to_ms
from app.domain.retention.planning import plan_retention
from app.domain.retention.plans import RetentionPlan
from app.domain.retention.policy import RetentionPolicy
from tests.strategies import TABLE_UUID, make_ref, make_snapshot

NOW = datetime(2026, 11, 29, 2, tzinfo=UTC)
NOW_MS = to_ms(NOW)
# Keeps next to nothing by itself, so that a test sees what it is about.
LEAST = RetentionPolicy(keep_last_n=0, keep_days=1, production_keep_days=2)


def make_table(
    ages: Mapping[int, float], *refs: Ref, parents: Mapping[int, int | None] | None = None, main: int | None = None
) -> History:
    """Snapshots by id with their ages in days: a line in the order given, but for the `parents` that are told.

    Main is at the last one, unless told otherwise or among the refs.
    """
    ids = list(ages)
    line: dict[int, int | None] = {number: ids[place - 1] if place else None for place, number in enumerate(ids)}
    line |= parents or {}
    snapshots = {
        number: make_snapshot(
            number, line[number], timestamp_ms=NOW_MS - round(ages[number] * DAY_MS), sequence_number=place + 1
        )
        for place, number in enumerate(ids)
    }
    known = {ref.name: ref for ref in refs}
    if ids and MAIN not in known:
        known[MAIN] = branch(MAIN, ids[-1] if main is None else main)
    return History(snapshots=snapshots, refs=known)


def tag(name: str, snapshot_id: int, days: float | None = None) -> Ref:
    """A tag, perhaps with a max-ref-age-ms of so many days."""
    return make_ref(name, snapshot_id, RefKind.TAG, max_ref_age_ms=None if days is None else round(days * DAY_MS))


def branch(
    name: str, snapshot_id: int, *, count: int | None = None, days: float | None = None, ref_days: float | None = None
) -> Ref:
    """A branch with its min-snapshots-to-keep, and its max-snapshot-age-ms and max-ref-age-ms in days."""
    return make_ref(
        name,
        snapshot_id,
        RefKind.BRANCH,
        min_snapshots_to_keep=count,
        max_snapshot_age_ms=None if days is None else round(days * DAY_MS),
        max_ref_age_ms=None if ref_days is None else round(ref_days * DAY_MS),
    )


def pin(model: str, number: int, snapshot_id: int, **more: Any) -> Pin:
    """A live pin of a model version, with its usual tag unless told otherwise."""
    facts: dict[str, Any] = {"tag": f"model_training_{model}_v{number}", "state": PinState.LIVE, **more}
    return Pin(
        pin_id=uuid5(TABLE_UUID, f"{model} {number} {snapshot_id} {facts['tag']}"),
        model=model,
        number=number,
        dataset=DatasetName.parse("bronze.orders"),
        table_uuid=UUID(int=1),
        snapshot_id=snapshot_id,
        **facts,
    )


def plan_of(
    history: History,
    policy: RetentionPolicy = LEAST,
    *,
    properties: Mapping[str, str] | None = None,
    is_production: bool = False,
    holders: Holders | None = None,
    now: datetime = NOW,
) -> RetentionPlan:
    """A plan of a table for which nothing is set unless told."""
    return plan_retention(
        history,
        policy,
        properties=properties or {},
        is_production=is_production,
        holders=holders or Holders(),
        now=now,
    )


def reasons_of(plan: RetentionPlan) -> dict[int, tuple[str, ...]]:
    """The reasons of each snapshot as they are told, by id; none of one that expires."""
    return {verdict.snapshot.snapshot_id: verdict.texts for verdict in plan.verdicts}


def kept_of(plan: RetentionPlan) -> set[int]:
    """Ids of what stays."""
    return {verdict.snapshot.snapshot_id for verdict in plan.kept}


def later(**span: float) -> datetime:
    """So much after now."""
    return NOW + timedelta(**span)
