"""The one grammar for naming a version of a dataset, and how a name becomes a snapshot.

| text                         | means                                                            |
|------------------------------|------------------------------------------------------------------|
| ``1234567890``               | snapshot id                                                      |
| ``production_2026_02_15``    | the tag, else the branch, of that name                           |
| ``main~3``                   | third ancestor of a branch head or a tag                         |
| ``2026-02-15[T10:00:00Z]``   | what was current on main then; a bare date is 00:00 UTC          |
| ``latest`` or nothing        | head of main                                                     |
| ``tag:`` ``branch:`` ``snapshot:`` ``at:`` | says which of the above is meant                   |

Precedence: prefix, digits, ``latest``, an exact ref, ``ref~n``, a date.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from app.domain.history import MAIN, History, Ref, RefKind
from app.errors import (
    AmbiguousReferenceError,
    BranchNotFoundError,
    InvalidReferenceError,
    NoSnapshotError,
    SnapshotExpiredError,
    TagNotFoundError,
    VersionNotFoundError,
)

LATEST = "latest"
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
MAX_REFERENCE_CHARS = 300
MAX_ANCESTOR_STEPS = 1_000_000

_DIGITS = re.compile(r"[+-]?[0-9]+")
_ANCESTOR = re.compile(r"(?P<ref>.+)~(?P<steps>[0-9]+)")
_DATE_START = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# RFC 3339 section 5.6, with seconds optional; Python reads far more of ISO 8601 (weeks, any separator, commas).
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSelector:
    """A version as structured input: exactly one field is given; no selector at all means `latest`."""

    ref: str | None = None
    snapshot_id: int | None = None
    tag: str | None = None
    branch: str | None = None
    as_of: datetime | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the fields that are set."""
        return tuple(
            name for name in ("ref", "snapshot_id", "tag", "branch", "as_of") if getattr(self, name) is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedVersion:
    """The snapshot that a reference names.

    `uses_current_schema` is true for `latest` and branches: a schema change makes no snapshot, so their schema is the
    table's current one; every other version has its snapshot's own.
    """

    snapshot_id: int
    uses_current_schema: bool
    ref: Ref | None = None


def resolve_text(text: str | None, history: History, dataset: str) -> ResolvedVersion:
    """The snapshot that a textual reference names; None and the empty string mean `latest`.

    Raises:
        InvalidReferenceError: no grammar rule accepts it, or a number is out of range.
        VersionNotFoundError: well formed, but there is no such snapshot, ref or moment. `TagNotFoundError` and
            `BranchNotFoundError` where a prefix says which is meant.
        SnapshotExpiredError: the history remembers the snapshot but no longer holds it.
        NoSnapshotError: `latest` of an empty table.
    """
    text = (text or LATEST).strip()
    if not text:
        text = LATEST
    if len(text) > MAX_REFERENCE_CHARS:
        raise InvalidReferenceError(text, f"it has {len(text)} characters, at most {MAX_REFERENCE_CHARS} are read")
    prefix, colon, rest = text.partition(":")
    if colon and prefix in ("tag", "branch", "snapshot", "at"):
        return _resolve_prefixed(prefix, rest, text, history, dataset)
    if _DIGITS.fullmatch(text):
        return _by_id(parse_snapshot_id(text), history, dataset)
    if text == LATEST:
        return _latest(history, dataset)
    if ref := history.refs.get(text):
        return _by_ref(ref, history, dataset)
    if match := _ANCESTOR.fullmatch(text):
        return _ancestor(match["ref"], match["steps"], text, history, dataset)
    if _DATE_START.match(text):
        return _as_of(parse_instant(text), text, history, dataset)
    if not text.isprintable() or re.search(r"\s", text):
        raise InvalidReferenceError(text, "it has a space or an unprintable character")
    start, tilde, _ = text.rpartition("~")
    if tilde and start in history.refs:
        raise InvalidReferenceError(text, "after ~ comes the number of steps back, in decimal digits")
    raise VersionNotFoundError(dataset, text, "no tag or branch has that name", closest(text, [LATEST, *history.refs]))


def resolve(selector: VersionSelector | None, history: History, dataset: str) -> ResolvedVersion:
    """The snapshot that a structured selector names; None means `latest`.

    Raises:
        AmbiguousReferenceError: no field is given, or more than one.
        As `resolve_text`.
    """
    if selector is None:
        return _latest(history, dataset)
    if len(selector.given) != 1:
        raise AmbiguousReferenceError(selector.given)
    if selector.snapshot_id is not None:
        return _by_id(check_snapshot_id(selector.snapshot_id), history, dataset)
    if selector.tag is not None:
        return _by_ref(get_tag(selector.tag, history, dataset), history, dataset)
    if selector.branch is not None:
        return _by_ref(get_branch(selector.branch, history, dataset), history, dataset)
    if selector.as_of is not None:
        return _as_of(selector.as_of, selector.as_of.isoformat(), history, dataset)
    return resolve_text(selector.ref, history, dataset)


def parse_snapshot_id(text: str) -> int:
    """A snapshot id from decimal digits.

    Raises:
        InvalidReferenceError: not digits, out of the range of 64 bits, 0 or -1.
    """
    if not _DIGITS.fullmatch(text):
        raise InvalidReferenceError(text, "a snapshot id is a whole number in decimal digits")
    if len(text) > 20:  # Python refuses to parse numbers of thousands of digits, and none of them fits
        raise InvalidReferenceError(text, "a snapshot id has 64 bits")
    return check_snapshot_id(int(text))


def check_snapshot_id(number: int) -> int:
    """The number itself, once it can be a snapshot id.

    Raises:
        InvalidReferenceError: out of the range of 64 bits, 0 or -1 (Iceberg's mark for "no snapshot").
    """
    if not INT64_MIN <= number <= INT64_MAX:
        # Python refuses to write numbers of thousands of digits in decimal.
        shown = str(number) if number.bit_length() <= 256 else f"a number of {number.bit_length()} bits"
        raise InvalidReferenceError(shown, "a snapshot id has 64 bits")
    if number in (0, -1):
        raise InvalidReferenceError(str(number), "no snapshot has this id; Iceberg uses it for 'none'")
    return number


def parse_instant(text: str) -> datetime:
    """An RFC 3339 instant or a bare date (00:00 UTC), in UTC.

    Raises:
        InvalidReferenceError: not a date, or a time without zone.
    """
    try:
        if _DATE_START.fullmatch(text):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        if not _INSTANT.fullmatch(text):
            raise InvalidReferenceError(text, "it is no RFC 3339 date or time")
        instant = datetime.fromisoformat(text.upper())
        if instant.tzinfo is None:
            raise InvalidReferenceError(text, "a time needs a zone, such as Z or +02:00")
        return instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidReferenceError(text, "it is no RFC 3339 date or time") from error


def get_tag(name: str, history: History, dataset: str) -> Ref:
    """The tag of that name. Raises TagNotFoundError with the closest names."""
    ref = history.refs.get(name)
    if ref is None or ref.kind is not RefKind.TAG:
        raise TagNotFoundError(dataset, _short(name), closest(name, [tag.name for tag in history.tags]))
    return ref


def get_branch(name: str, history: History, dataset: str) -> Ref:
    """The branch of that name. Raises BranchNotFoundError with the closest names, NoSnapshotError for an empty main."""
    ref = history.refs.get(name)
    if ref is None and name == MAIN:
        raise NoSnapshotError(dataset)
    if ref is None or ref.kind is not RefKind.BRANCH:
        raise BranchNotFoundError(dataset, _short(name), closest(name, [b.name for b in history.branches]))
    return ref


def closest(name: str, known: list[str]) -> list[str]:
    """At most three known names that look like `name`."""
    return difflib.get_close_matches(name[:MAX_REFERENCE_CHARS], known, n=3, cutoff=0.6)


def _short(name: str) -> str:
    return name if len(name) <= 120 else name[:117] + "..."


def _resolve_prefixed(prefix: str, rest: str, text: str, history: History, dataset: str) -> ResolvedVersion:
    if not rest:
        raise InvalidReferenceError(text, f"nothing follows {prefix}:")
    if prefix == "snapshot":
        return _by_id(parse_snapshot_id(rest), history, dataset)
    if prefix == "at":
        return _as_of(parse_instant(rest), rest, history, dataset)
    find = get_tag if prefix == "tag" else get_branch
    match = _ANCESTOR.fullmatch(rest)
    if match and rest not in history.refs:
        start = find(match["ref"], history, dataset)
        return _ancestor(start.name, match["steps"], text, history, dataset)
    return _by_ref(find(rest, history, dataset), history, dataset)


def _latest(history: History, dataset: str) -> ResolvedVersion:
    if history.head_id is None:
        raise NoSnapshotError(dataset)
    return _by_ref(history.refs[MAIN], history, dataset)


def _by_ref(ref: Ref, history: History, dataset: str) -> ResolvedVersion:
    if ref.snapshot_id not in history.snapshots:
        raise SnapshotExpiredError(dataset, ref.snapshot_id)
    return ResolvedVersion(snapshot_id=ref.snapshot_id, uses_current_schema=ref.kind is RefKind.BRANCH, ref=ref)


def _by_id(snapshot_id: int, history: History, dataset: str) -> ResolvedVersion:
    if snapshot_id in history.snapshots:
        return ResolvedVersion(snapshot_id=snapshot_id, uses_current_schema=False)
    if snapshot_id in history.expired_ids:
        raise SnapshotExpiredError(dataset, snapshot_id)
    reason = "no snapshot has that id"
    if str(snapshot_id) in history.refs:
        reason += f"; the tag of that name is written tag:{snapshot_id}"
    raise VersionNotFoundError(dataset, str(snapshot_id), reason)


def _ancestor(start: str, digits: str, text: str, history: History, dataset: str) -> ResolvedVersion:
    ref = history.refs.get(start)
    if ref is None:
        raise VersionNotFoundError(
            dataset, text, f"no tag or branch is named {start!r}", closest(start, list(history.refs))
        )
    digits = digits.lstrip("0") or "0"
    # By length first: Python refuses to parse numbers of thousands of digits.
    if len(digits) > len(str(MAX_ANCESTOR_STEPS)) or (steps := int(digits)) > MAX_ANCESTOR_STEPS:
        raise InvalidReferenceError(text, f"at most {MAX_ANCESTOR_STEPS} steps back are counted")
    distance = -1
    for distance, snapshot in enumerate(history.ancestors(ref.snapshot_id)):
        if distance == steps:
            return ResolvedVersion(snapshot_id=snapshot.snapshot_id, uses_current_schema=False)
    raise VersionNotFoundError(dataset, text, f"{start!r} has only {max(distance, 0)} known ancestors")


def _as_of(instant: datetime, text: str, history: History, dataset: str) -> ResolvedVersion:
    if instant.tzinfo is None:
        raise InvalidReferenceError(text, "a time needs a zone, such as Z or +02:00")
    # In integers: floats put 1970-01-01T00:00:01.001Z one millisecond too early.
    timestamp_ms = (instant - _EPOCH) // timedelta(milliseconds=1)
    # In the log's own order, as Iceberg's engines read it: clocks may run backwards, and the last entry is the head.
    entry = next((entry for entry in reversed(history.log) if entry.timestamp_ms <= timestamp_ms), None)
    if entry is None:
        raise VersionNotFoundError(dataset, text, _known_since(history))
    if entry.snapshot_id not in history.snapshots:
        raise SnapshotExpiredError(dataset, entry.snapshot_id)
    return ResolvedVersion(snapshot_id=entry.snapshot_id, uses_current_schema=False)


def _known_since(history: History) -> str:
    if not history.log:
        return "it has no history"
    since_ms = min(entry.timestamp_ms for entry in history.log)
    try:
        since = (_EPOCH + timedelta(milliseconds=since_ms)).isoformat()
    except OverflowError:  # some writers put microseconds there, which is beyond the year 9999
        since = f"{since_ms} ms after 1970"
    return f"main is known since {since}"
