"""Reasons to keep a snapshot: what each is called, what it comes from, and until when it holds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.domain.retention.instants import shown_span


class ReasonKind(StrEnum):
    """Why a snapshot is kept, in the order in which reasons are told."""

    HEAD = "HEAD"
    RECENT = "RECENT"
    WITHIN_RETENTION = "WITHIN_RETENTION"
    PRODUCTION = "PRODUCTION"
    TAGGED = "TAGGED"
    TRAINING_DATA = "TRAINING_DATA"
    RELEASE = "RELEASE"
    HOLD = "HOLD"
    UNDO_PIN = "UNDO_PIN"
    MIN_SNAPSHOTS_TO_KEEP = "MIN_SNAPSHOTS_TO_KEEP"
    MAX_SNAPSHOT_AGE = "MAX_SNAPSHOT_AGE"
    GC_DISABLED = "GC_DISABLED"
    CIRCULAR = "CIRCULAR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason, as it is told and as programs read it.

    It holds until `until_ms`, that millisecond included; None is as long as things are as they are. `ref` is the branch
    or tag that it goes by, None of what needs none. `holder` is whom it is for: the model, `number` being its version,
    the id of a hold, the name of a release. `limit` is the setting that it comes from: a count, or a span in ms.
    `commits` is how many more commits to the branch end it, of those that count. `detail` is what more is known, in
    words: of a hold what it is for, and whose it is.
    """

    kind: ReasonKind
    text: str
    until_ms: int | None = None
    ref: str | None = None
    holder: str | None = None
    number: int | None = None
    limit: int | None = None
    commits: int | None = None
    detail: str | None = None


GC_DISABLED = Reason(kind=ReasonKind.GC_DISABLED, text="gc.enabled=false")
CIRCULAR = Reason(kind=ReasonKind.CIRCULAR, text="parents in a circle")


def head_of(branch: str) -> Reason:
    """It is where a branch is."""
    return Reason(kind=ReasonKind.HEAD, text=f"head of {branch}", ref=branch)


def recent(branch: str, top: int, commits: int) -> Reason:
    """It is among the newest of a branch."""
    return Reason(kind=ReasonKind.RECENT, text=f"recent (top {top})", ref=branch, limit=top, commits=commits)


def tagged(tag: str, until_ms: int | None) -> Reason:
    """A tag names it."""
    return Reason(kind=ReasonKind.TAGGED, text=f"tagged ({tag})", ref=tag, until_ms=until_ms)


def training_data_of(model: str, number: int, tag: str) -> Reason:
    """A model version was trained on it."""
    text = f"training data of {model} v{number}"
    return Reason(kind=ReasonKind.TRAINING_DATA, text=text, ref=tag, holder=model, number=number)


def release_of(name: str, tag: str | None) -> Reason:
    """A release was made of it."""
    return Reason(kind=ReasonKind.RELEASE, text=f"release {name}", ref=tag, holder=name)


def held_by(hold_id: str, tag: str, detail: str | None = None) -> Reason:
    """Somebody ordered to keep it."""
    return Reason(kind=ReasonKind.HOLD, text=f"hold {hold_id}", ref=tag, holder=hold_id, detail=detail)


def undo_pin(tag: str, until_ms: int | None) -> Reason:
    """A rollback left it, and can be undone with it."""
    return Reason(kind=ReasonKind.UNDO_PIN, text=f"undo pin ({tag})", ref=tag, until_ms=until_ms)


def first_of_branch(branch: str, count: int, commits: int) -> Reason:
    """Iceberg's own setting keeps so many of a branch."""
    text = f"min-snapshots-to-keep of {branch} ({count})"
    kind = ReasonKind.MIN_SNAPSHOTS_TO_KEEP
    return Reason(kind=kind, text=text, ref=branch, limit=count, commits=commits)


def age_text(kind: ReasonKind, length_ms: int, branch: str | None = None) -> str:
    """What an age is called; of Iceberg's setting, without a branch, it is the table's property."""
    if kind is ReasonKind.WITHIN_RETENTION:
        return f"within retention ({shown_span(length_ms)})"
    if kind is ReasonKind.PRODUCTION:
        return f"production ({shown_span(length_ms)})"
    name = "history.expire.max-snapshot-age-ms" if branch is None else f"max-snapshot-age-ms of {branch}"
    return f"{name} ({shown_span(length_ms)})"
