"""Cutting pages out of ordered lists, after the Relay cursor connections specification."""

from __future__ import annotations

import base64
import binascii
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from app.errors import InvalidPageError

MAX_PAGE = 100
DEFAULT_PAGE = 20

Item = TypeVar("Item")
CursorKey = tuple[int | str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """What a caller asks for; neither `first` nor `last` means the first `DEFAULT_PAGE`."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    def __post_init__(self) -> None:
        if self.first is not None and self.last is not None:
            raise InvalidPageError("first and last", "give one of the two")
        for argument in ("first", "last"):
            count = getattr(self, argument)
            if count is not None and not 1 <= count <= MAX_PAGE:
                raise InvalidPageError(argument, f"{count} is not between 1 and {MAX_PAGE}")

    @property
    def size(self) -> int:
        """Most items on the page."""
        return self.first or self.last or DEFAULT_PAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """A page, in the list's own order whichever end was asked for."""

    items: Sequence[Item]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool
    total: int


def encode_cursor(kind: str, key: CursorKey) -> str:
    """An opaque cursor that stays valid whatever is added or removed around it."""
    text = json.dumps([kind, *key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def decode_cursor(kind: str, cursor: str, argument: str = "after") -> CursorKey:
    """The key inside a cursor.

    Raises:
        InvalidPageError: not a cursor, or one of another list.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeError, binascii.Error, ValueError, RecursionError) as error:
        raise InvalidPageError(argument, "it is no cursor of this API") from error
    if not isinstance(parts, list) or not parts or parts[0] != kind:
        raise InvalidPageError(argument, "it is a cursor of another list")
    key = tuple(parts[1:])
    if not key or not all(isinstance(part, (int, str)) and not isinstance(part, bool) for part in key):
        raise InvalidPageError(argument, "it is no cursor of this API")
    return key


def decode_instant_cursor(kind: str, cursor: str) -> tuple[int, UUID]:
    """The key of a list that is ordered by an instant, in microseconds since 1970, and an id.

    Raises:
        InvalidPageError: as `decode_cursor`.
    """
    key = decode_cursor(kind, cursor)
    if len(key) == 2 and isinstance(key[0], int) and -(2**63) <= key[0] < 2**63:
        try:
            return key[0], UUID(str(key[1]))
        except ValueError as error:
            raise InvalidPageError("after", "it is no cursor of this API") from error
    raise InvalidPageError("after", "it is no cursor of this API")


def cut_page(items: Sequence[Item], request: PageRequest, *, kind: str, key: Callable[[Item], CursorKey]) -> Page[Item]:
    """The page of a list that is sorted ascending by `key`, a total order.

    Cursors hold the key, not the position, so items that come or go elsewhere neither repeat nor skip others.
    Costs two binary searches and the page.

    Raises:
        InvalidPageError: a cursor that is not of this list.
    """
    start, stop = 0, len(items)
    if request.after is not None:
        start = _locate(items, request.after, "after", kind, key, bisect_right)
    if request.before is not None:
        stop = max(start, _locate(items, request.before, "before", kind, key, bisect_left))
    if request.last is not None:
        begin, end = max(start, stop - request.last), stop
    else:
        begin, end = start, min(stop, start + request.size)
    chosen = items[begin:end]
    return Page(
        items=chosen,
        cursors=[encode_cursor(kind, key(item)) for item in chosen],
        has_next=end < len(items),
        has_previous=begin > 0,
        total=len(items),
    )


def _locate(
    items: Sequence[Item],
    cursor: str,
    argument: str,
    kind: str,
    key: Callable[[Item], CursorKey],
    bisect: Callable[..., int],
) -> int:
    wanted = decode_cursor(kind, cursor, argument)
    if items:
        sample = key(items[0])
        if len(sample) != len(wanted) or any(type(a) is not type(b) for a, b in zip(sample, wanted, strict=True)):
            raise InvalidPageError(argument, "it is a cursor of another list")
    return bisect(items, wanted, key=key)
