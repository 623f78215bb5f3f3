"""Expiries that have taken place: what is known of them when somebody asks a year later."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.domain.pages import Page, PageRequest
from app.domain.retention.past import PastExpiry, PastPolicy
from app.errors import JsonValue
from app.registry.retention_history import RetentionHistory, RunSummary
from app.registry.retention_runs import RetentionRun, RetentionRunStore


class PastExpiries:
    """What runs of ours have expired.

    Every method raises BackendUnavailableError where Postgres is away.
    """

    def __init__(self, runs: RetentionRunStore, history: RetentionHistory) -> None:
        self._runs = runs
        self._history = history

    async def find(self, table_uuid: UUID, snapshot_id: int) -> PastExpiry | None:
        """What is known of the expiry of a snapshot; None where it was none of ours.

        Costs reading what all runs of the table have decided: a few milliseconds a thousand snapshots.
        """
        run = await self._runs.find_expiry_of(table_uuid, snapshot_id)
        return None if run is None else _to_expiry(run, snapshot_id)

    async def page(self, table_uuid: UUID, request: PageRequest) -> Page[RunSummary]:
        """The runs of a table that were committed, the newest first. Raises InvalidPageError."""
        return await self._history.page(table_uuid, request)


def _to_expiry(run: RetentionRun, snapshot_id: int) -> PastExpiry:
    expired = run.document["expired"]
    if not isinstance(expired, list):
        raise TypeError("what a run has expired is a list")
    entries = [entry for entry in expired if isinstance(entry, dict)]
    entry = next(entry for entry in entries if entry["snapshot_id"] == str(snapshot_id))
    return PastExpiry(
        dataset=str(run.dataset),
        snapshot_id=snapshot_id,
        timestamp_ms=_whole(entry, "timestamp_ms"),
        run_id=run.run_id,
        at=run.committed_at or run.planned_at,
        by=run.requested_by.subject,
        reason=run.reason,
        policy=_to_policy(run.document["policy"]),
        snapshots=len(entries),
        freed_bytes=run.bytes_freed,
    )


def _to_policy(document: JsonValue) -> PastPolicy:
    if not isinstance(document, dict):
        raise TypeError("the policy of a run is an object")
    return PastPolicy(
        keep_last_n=_whole(document, "keep_last_n"),
        keep_days=_whole(document, "keep_days"),
        keep_tagged=document["keep_tagged"] is True,
        production_keep_days=_whole(document, "production_keep_days"),
        is_production=document["is_production"] is True,
    )


def _whole(document: Mapping[str, JsonValue], name: str) -> int:
    value = document[name]
    if not isinstance(value, int):
        raise TypeError(f"{name} of a run is a whole number")
    return value
