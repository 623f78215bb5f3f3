"""Explaining retention: why a version stays or goes, why storage grows, what each tag is for and costs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypedDict

from app.domain.changes import Actor
from app.domain.history import to_instant
from app.domain.names import DatasetName
from app.domain.retention.explaining import explain_snapshot
from app.domain.retention.explaining_tables import TableBytes, explain_table, shown_bytes
from app.domain.retention.policy import RetentionPolicy
from app.domain.retention.tag_audit import TagAudit, audit_tags
from app.errors import SnapshotExpiredError, VersionNotFoundError
from app.registry.retention_runs import RetentionRun, RetentionRunStore
from app.services.datasets import Datasets
from app.services.retention_planning import MeasuredPlan, RetentionPlanning


class AuditEntry(TypedDict):
    """A tag as the audit has it, as JSON."""

    tag: str
    snapshot_id: str
    convention: str | None
    protected: bool
    owner: str | None
    set_at_ms: int
    age_ms: int
    age_known: bool
    bytes: int
    purposes: list[str]
    stale: list[str]


class RetentionExplaining:
    """Answers in sentences. Raises as `RetentionPlanning.plan`."""

    def __init__(self, datasets: Datasets, planning: RetentionPlanning, runs: RetentionRunStore) -> None:
        self._datasets = datasets
        self._planning = planning
        self._runs = runs

    async def version(self, name: DatasetName, version: str, policy: RetentionPolicy) -> list[str]:
        """Why a version stays or goes; of one that an expiry of ours took, when, by whom and why.

        Raises:
            VersionNotFoundError, InvalidReferenceError: there is none; SnapshotExpiredError: it was others' expiry.
        """
        table, plan = await self._planning.plan(name, policy)
        try:
            resolved = await self._datasets.resolve_with_record(table, version)
        except (SnapshotExpiredError, VersionNotFoundError):
            digits = version.removeprefix("snapshot:").strip()
            if digits.lstrip("-").isdigit():
                run = await self._runs.find_expiry_of(table.state.table_uuid, int(digits))
                if run is not None:
                    return _told_of(run, int(digits))
            raise
        verdict = plan.find_verdict(resolved.snapshot_id)
        return [] if verdict is None else explain_snapshot(plan, verdict)

    async def table(self, name: DatasetName, policy: RetentionPolicy) -> list[str]:
        """Why nothing expires, or so little; why storage grows; which tags cost most. Costs reading all manifests.

        Raises: as `RetentionPlanning.measure`.
        """
        planned = await self._measured(name, policy)
        sizes = TableBytes(
            total=planned.files.total.size_bytes,
            live=_live_bytes(planned),
            freed=planned.files.freed.size_bytes,
            by_holder=planned.files.pinned,
        )
        sentences = explain_table(planned.plan, sizes)
        runs = await self._runs.list_of_table(planned.table.state.table_uuid, limit=1)
        return [*sentences, *(_last(run) for run in runs)]

    async def audit(self, name: DatasetName, policy: RetentionPolicy) -> list[tuple[TagAudit, int]]:
        """Each tag with the bytes that it alone keeps, those that keep most first. Costs reading all manifests."""
        planned = await self._measured(name, policy)
        state = planned.table.state
        keys = [(state.table_uuid, tag.name) for tag in state.history.tags]
        records = {record.name: record for record in (await self._datasets.tag_records(keys)).values()}
        (holders,) = await self._planning.holders([planned.table])
        audits = audit_tags(state.history, holders, records, datetime.now(UTC))
        sized = [(tag, _size_of(tag, planned)) for tag in audits]
        return sorted(sized, key=lambda pair: (-pair[1], pair[0].tag.name))

    async def _measured(self, name: DatasetName, policy: RetentionPolicy) -> MeasuredPlan:
        return await self._planning.measure(name, policy, await self._planning.neighbours())


def audit_entry(audit: TagAudit, size_bytes: int) -> AuditEntry:
    """A tag of the audit as JSON."""
    return AuditEntry(
        tag=audit.tag.name,
        snapshot_id=str(audit.tag.snapshot_id),
        convention=None if audit.convention is None else audit.convention.value,
        protected=audit.is_protected,
        owner=audit.owner,
        set_at_ms=audit.set_at_ms,
        age_ms=audit.age_ms,
        age_known=audit.is_age_known,
        bytes=size_bytes,
        purposes=list(audit.purposes),
        stale=[each.text for each in audit.stale],
    )


def _size_of(audit: TagAudit, planned: MeasuredPlan) -> int:
    """What goes if this tag goes: what its reason alone keeps."""
    verdict = planned.plan.find_verdict(audit.tag.snapshot_id)
    if verdict is None:
        return 0
    texts = {reason.text for reason in verdict.reasons if reason.ref == audit.tag.name}
    return sum(planned.files.pinned.get(text, 0) for text in texts)


def _live_bytes(planned: MeasuredPlan) -> int | None:
    """What the head reads, as its own summary says; None where it does not."""
    head = planned.table.state.history.head
    told = None if head is None else head.summary.get("total-files-size")
    return int(told) if told is not None and told.isdigit() else None


def _told_of(run: RetentionRun, snapshot_id: int) -> list[str]:
    expired, policy = run.document["expired"], run.document["policy"]
    at = run.committed_at or run.planned_at
    made = ""
    for each in expired if isinstance(expired, list) else ():
        if isinstance(each, dict) and each["snapshot_id"] == str(snapshot_id):
            made = f" It was made at {to_instant(int(str(each['timestamp_ms']))):%Y-%m-%d %H:%M} UTC."
    rules = policy if isinstance(policy, dict) else {}
    return [
        (
            f"Snapshot {snapshot_id} was expired on {at:%Y-%m-%d %H:%M} UTC by {_who(run.requested_by)}"
            f"{f' ({run.reason})' if run.reason else ''}, in run {run.run_id}.{made}"
        ),
        (
            f"Then the rules were: the last {rules.get('keep_last_n')} of each branch, {rules.get('keep_days')} days, "
            f"{rules.get('production_keep_days')} days for production; and no tag, model, hold or branch kept it."
        ),
        f"That run freed {shown_bytes(run.bytes_freed)} in {run.files_deleted:,} files. It cannot be undone.",
    ]


def _last(run: RetentionRun) -> str:
    at = run.committed_at or run.planned_at
    return (
        f"The last expiry was on {at:%Y-%m-%d %H:%M} UTC by {_who(run.requested_by)}: "
        f"{shown_bytes(run.bytes_freed)} freed."
    )


def _who(actor: Actor) -> str:
    return actor.subject
