"""A plan of retention as a value: which snapshots stay and go, which refs go with them, and what is odd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from app.domain.history import History, Ref, Snapshot, to_instant
from app.domain.retention.overrides import TableRules
from app.domain.retention.reasons import Reason


class RemovalCause(StrEnum):
    """Why a tag goes: by the max-ref-age-ms that is set on it, or with the snapshot that it is on."""

    MAX_REF_AGE = "MAX_REF_AGE"
    PAST_RETENTION = "PAST_RETENTION"


class WarningKind(StrEnum):
    """What is odd about a table, or stands in the way; nothing of it makes anything expire."""

    CLOCK_BEHIND = "CLOCK_BEHIND"
    FUTURE_SNAPSHOTS = "FUTURE_SNAPSHOTS"
    DISORDERED_TIMESTAMPS = "DISORDERED_TIMESTAMPS"
    CIRCULAR_PARENTS = "CIRCULAR_PARENTS"
    DANGLING_REF = "DANGLING_REF"
    LOST_DATA = "LOST_DATA"
    OVERRIDE_WITHOUT_EFFECT = "OVERRIDE_WITHOUT_EFFECT"
    ENDED_ELSEWHERE = "ENDED_ELSEWHERE"
    REFUSED_HERE = "REFUSED_HERE"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanWarning:
    """Something that whoever runs the plan should know, and which snapshots or refs it is about."""

    kind: WarningKind
    text: str
    snapshot_ids: tuple[int, ...] = ()
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of one snapshot: kept for all of its reasons, which hold now; without any, expired.

    `expires_at_ms` is the first millisecond at which a plan expires it if nothing changes but the time; None is never,
    as things are. Of an expired one it is past: since then nothing has kept it, if things were as they are.
    `made_ms` is when it was made, at the earliest, which differs from its timestamp where a clock ran backwards.
    `place` is how many snapshots of `branch`, the nearest that leads to it, are newer; None where no branch does.
    """

    snapshot: Snapshot
    reasons: tuple[Reason, ...]
    expires_at_ms: int | None
    made_ms: int
    branch: str | None
    place: int | None

    @property
    def is_kept(self) -> bool:
        """Whether anything keeps it."""
        return bool(self.reasons)

    @property
    def texts(self) -> tuple[str, ...]:
        """The reasons as they are told; each text once."""
        return tuple(dict.fromkeys(reason.text for reason in self.reasons))

    @property
    def expires_at(self) -> datetime | None:
        """`expires_at_ms` as an instant."""
        return None if self.expires_at_ms is None else to_instant(self.expires_at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefRemoval:
    """A tag that goes, and why."""

    ref: Ref
    cause: RemovalCause


@dataclass(frozen=True, kw_only=True)
class RetentionPlan:
    """What is to become of each snapshot, newest first, and of the tags that go, by name.

    A value of the history that it was made of: it holds as long as the table's refs and snapshots are those.
    """

    now_ms: int
    rules: TableRules
    verdicts: tuple[Verdict, ...]
    removals: tuple[RefRemoval, ...]
    warnings: tuple[PlanWarning, ...]

    @cached_property
    def kept(self) -> tuple[Verdict, ...]:
        """What stays, newest first."""
        return tuple(verdict for verdict in self.verdicts if verdict.is_kept)

    @cached_property
    def expired(self) -> tuple[Verdict, ...]:
        """What goes, newest first."""
        return tuple(verdict for verdict in self.verdicts if not verdict.is_kept)

    @cached_property
    def expired_ids(self) -> frozenset[int]:
        """Ids of what goes."""
        return frozenset(verdict.snapshot.snapshot_id for verdict in self.expired)

    @cached_property
    def removed_refs(self) -> frozenset[str]:
        """Names of the tags that go."""
        return frozenset(removal.ref.name for removal in self.removals)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return not self.expired and not self.removals

    @cached_property
    def _by_id(self) -> Mapping[int, Verdict]:
        return {verdict.snapshot.snapshot_id: verdict for verdict in self.verdicts}

    def find_verdict(self, snapshot_id: int) -> Verdict | None:
        """What becomes of a snapshot; None where the table has none of this id."""
        return self._by_id.get(snapshot_id)


def history_after(history: History, plan: RetentionPlan) -> History:
    """The history that a plan leaves once it is carried out. Parents that are gone stay named, as Iceberg has it.

    The log forgets all before a snapshot that is gone (Iceberg spec, "Table Metadata Fields", `snapshot-log`).
    """
    snapshots = {key: value for key, value in history.snapshots.items() if key not in plan.expired_ids}
    known = next(
        (place for place in range(len(history.log), 0, -1) if history.log[place - 1].snapshot_id not in snapshots), 0
    )
    return replace(
        history,
        snapshots=snapshots,
        refs={name: ref for name, ref in history.refs.items() if name not in plan.removed_refs},
        log=history.log[known:],
    )
