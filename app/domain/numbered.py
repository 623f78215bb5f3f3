"""Versions that are counted (models, pipelines), and how a reference names one of them.

The grammar is that of datasets (`app.domain.versions`) as far as there is something to name: digits are a number,
`latest`, a tag, `<tag>~n` and `latest~n` (n versions earlier), a date or instant, the prefixes `tag:` and `at:`; and
the label of a version (`v3`), where no tag has that name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.version_relation import VersionRelation
from app.domain.versions import LATEST, MAX_REFERENCE_CHARS, closest, parse_instant
from app.errors import AmbiguousReferenceError, InvalidReferenceError, TagNotFoundError, VersionNotFoundError

MAX_NUMBER = 2**31 - 1
_DIGITS = re.compile(r"-?[0-9]+")
_COUNTED_FROM_1 = "versions are counted from 1"
_LABEL = re.compile(r"v(?P<number>[0-9]{1,10})")
_EARLIER = re.compile(r"(?P<ref>.+)~(?P<steps>[0-9]+)")
_DATE_START = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedHistory:
    """All versions of one model or pipeline: when each was made, and the tags that name them.

    `owner_field` is what errors tell the owner in, `model` or `pipelineId`.
    """

    owner: str
    owner_field: str
    created_at: Mapping[int, datetime]
    tags: Mapping[str, int] = field(default_factory=dict)

    @property
    def latest(self) -> int | None:
        """The highest number."""
        return max(self.created_at, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberSelector:
    """A version as structured input: exactly one field is given; no selector at all means `latest`."""

    ref: str | None = None
    number: int | None = None
    tag: str | None = None
    as_of: datetime | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the fields that are set."""
        return tuple(name for name in ("ref", "number", "tag", "as_of") if getattr(self, name) is not None)


def resolve_number(at: NumberSelector | str | None, history: NumberedHistory) -> int:
    """The number of the version that is named; None and the empty text mean `latest`.

    Raises:
        AmbiguousReferenceError: a selector with no field, or with several.
        InvalidReferenceError: no rule of the grammar accepts it.
        VersionNotFoundError: there is no such version; `TagNotFoundError` where a tag was asked for.
    """
    if at is None or isinstance(at, str):
        return _by_text(at, history)
    if len(at.given) != 1:
        raise AmbiguousReferenceError(at.given)
    if at.number is not None:
        return _by_number(at.number, history)
    if at.tag is not None:
        return _by_tag(at.tag, history)
    if at.as_of is not None:
        return _as_of(at.as_of, at.as_of.isoformat(), history)
    return _by_text(at.ref, history)


def relation_of_numbers(before: int, after: int) -> VersionRelation:
    """What the version of the one number is to that of the other: what is counted has no branches."""
    if before == after:
        return VersionRelation.SAME
    return VersionRelation.ANCESTOR if before < after else VersionRelation.DESCENDANT


def _by_text(text: str | None, history: NumberedHistory) -> int:
    text = (text or "").strip() or LATEST
    if len(text) > MAX_REFERENCE_CHARS:
        raise InvalidReferenceError(text, f"it has {len(text)} characters, at most {MAX_REFERENCE_CHARS} are read")
    prefix, colon, rest = text.partition(":")
    if colon and prefix in ("branch", "snapshot"):
        raise InvalidReferenceError(text, "versions of models and pipelines are numbered, and have no such thing")
    if colon and prefix in ("tag", "at"):
        if not rest:
            raise InvalidReferenceError(text, f"nothing follows {prefix}:")
        return _by_tag(rest, history) if prefix == "tag" else _as_of(parse_instant(rest), rest, history)
    if _DIGITS.fullmatch(text):
        return _by_digits(text, history)
    if text == LATEST:
        return _latest(history)
    if text in history.tags:
        return history.tags[text]
    if match := _LABEL.fullmatch(text):
        return _by_number(int(match["number"]), history)
    if match := _EARLIER.fullmatch(text):
        return _earlier(match["ref"], match["steps"], text, history)
    if _DATE_START.match(text):
        return _as_of(parse_instant(text), text, history)
    if not text.isprintable() or re.search(r"\s", text):
        raise InvalidReferenceError(text, "it has a space or an unprintable character")
    raise _no_version(history, text, "no tag has that name", closest(text, [LATEST, *history.tags]))


def _latest(history: NumberedHistory) -> int:
    if history.latest is None:
        raise _no_version(history, LATEST, "it has no version yet")
    return history.latest


def _by_digits(text: str, history: NumberedHistory) -> int:
    if len(text) > len(str(MAX_NUMBER)):  # Python refuses to parse numbers of thousands of digits.
        raise InvalidReferenceError(text, _COUNTED_FROM_1)
    return _by_number(int(text), history)


def _by_number(number: int, history: NumberedHistory) -> int:
    if not 1 <= number <= MAX_NUMBER:
        raise InvalidReferenceError(str(number)[:40], _COUNTED_FROM_1)
    if number not in history.created_at:
        known = f"the latest is {history.latest}" if history.latest else "it has no version yet"
        raise _no_version(history, str(number), known)
    return number


def _by_tag(tag: str, history: NumberedHistory) -> int:
    if tag not in history.tags:
        suggestions = closest(tag, list(history.tags))
        raise TagNotFoundError(history.owner, tag[:120], suggestions, owner_field=history.owner_field)
    return history.tags[tag]


def _earlier(ref: str, digits: str, text: str, history: NumberedHistory) -> int:
    start = _latest(history) if ref == LATEST else history.tags.get(ref)
    if start is None:
        raise _no_version(history, text, f"no tag is named {ref!r}", closest(ref, [LATEST, *history.tags]))
    earlier = sorted(number for number in history.created_at if number <= start)
    steps = int(digits) if len(digits) <= 10 else MAX_NUMBER
    if steps >= len(earlier):
        raise _no_version(history, text, f"{ref!r} has only {len(earlier) - 1} versions before it")
    return earlier[-1 - steps]


def _as_of(instant: datetime, text: str, history: NumberedHistory) -> int:
    if instant.tzinfo is None:
        raise InvalidReferenceError(text, "a time needs a zone, such as Z or +02:00")
    found = [number for number, created_at in history.created_at.items() if created_at <= instant]
    if not found:
        raise _no_version(history, text, "it had no version then")
    return max(found)


def _no_version(
    history: NumberedHistory, ref: str, reason: str, suggestions: Sequence[str] = ()
) -> VersionNotFoundError:
    return VersionNotFoundError(history.owner, ref, reason, suggestions, owner_field=history.owner_field)
