"""What differs between two JSON objects, key by key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.errors import JsonValue

_NOTHING = object()


class DeltaKind(StrEnum):
    """What became of something that has a name: tells what is missing from what is null."""

    ADDED = "ADDED"
    REMOVED = "REMOVED"
    CHANGED = "CHANGED"
    UNCHANGED = "UNCHANGED"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDelta:
    """A member that differs; `path` leads to it through nested objects, `key` is the path as people write it.

    `before` or `after` is None where the member is not there, and where it is null; `kind` tells which.
    """

    path: tuple[str, ...]
    key: str
    kind: DeltaKind
    before: JsonValue
    after: JsonValue


def diff_objects(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> tuple[KeyDelta, ...]:
    """The members that differ, in order of their paths.

    Objects on both sides are compared member by member: `optimizer.lr`. Anything else is compared as a whole, lists
    too, because the places of elements are no names. A name with a dot is put in double quotes where two paths would
    read alike without them. Costs the size of both, and calls itself once a level of nesting.
    """
    found = sorted(_walk((), before, after), key=lambda delta: delta[0])
    plain = Counter(".".join(path) for path, _, _ in found)
    return tuple(
        KeyDelta(
            path=path,
            key=_label(path, is_alone=plain[".".join(path)] == 1),
            kind=_kind(old, new),
            before=None if old is _NOTHING else old,  # type: ignore[arg-type]
            after=None if new is _NOTHING else new,  # type: ignore[arg-type]
        )
        for path, old, new in found
    )


def is_same_json(one: object, other: object) -> bool:
    """Whether two JSON values are the same: `1` and `1.0` are, `1` and `true` are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(is_same_json(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same_json, one, other))
    return one == other


def _walk(
    path: tuple[str, ...], before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]
) -> Iterator[tuple[tuple[str, ...], object, object]]:
    for name in before.keys() | after.keys():
        old, new = before.get(name, _NOTHING), after.get(name, _NOTHING)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _walk((*path, name), old, new)
        elif not is_same_json(old, new):
            yield (*path, name), old, new


def _kind(old: object, new: object) -> DeltaKind:
    if old is _NOTHING:
        return DeltaKind.ADDED
    return DeltaKind.REMOVED if new is _NOTHING else DeltaKind.CHANGED


def _label(path: tuple[str, ...], *, is_alone: bool) -> str:
    # A name that has quotes itself is always written in them, so that no two labels of a diff are the same.
    if is_alone and not any('"' in name for name in path):
        return ".".join(path)
    return ".".join(map(_quoted, path))


def _quoted(name: str) -> str:
    if "." not in name and '"' not in name:
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
