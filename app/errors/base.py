"""The base of all errors, their families, and the one table that says what each face makes of them.

A concrete error states what was looked up, what was expected and what was found as fields, so that GraphQL,
REST and the command line show the same facts. Each has a heading of its code in ``docs/errors.md``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]

DOCS_PAGE = "docs/errors.md"


class Category(StrEnum):
    """What kind of trouble an error is: the `UserErrorCode` of GraphQL."""

    NOT_FOUND = "NOT_FOUND"
    INVALID = "INVALID"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    CONFLICT = "CONFLICT"
    PROTECTED = "PROTECTED"
    FORBIDDEN = "FORBIDDEN"
    EXPIRED = "EXPIRED"
    UNSUPPORTED = "UNSUPPORTED"
    UNAVAILABLE = "UNAVAILABLE"
    TOO_LARGE = "TOO_LARGE"
    STATE_UNKNOWN = "STATE_UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """How the faces answer a category."""

    http_status: int
    exit_code: int
    is_retryable: bool = False


HANDLING: Mapping[Category, Handling] = {
    Category.NOT_FOUND: Handling(http_status=404, exit_code=3),
    Category.INVALID: Handling(http_status=400, exit_code=2),
    Category.ALREADY_EXISTS: Handling(http_status=409, exit_code=4),
    Category.CONFLICT: Handling(http_status=409, exit_code=4, is_retryable=True),
    Category.PROTECTED: Handling(http_status=403, exit_code=5),
    Category.FORBIDDEN: Handling(http_status=403, exit_code=5),
    Category.EXPIRED: Handling(http_status=410, exit_code=3),
    Category.UNSUPPORTED: Handling(http_status=422, exit_code=6),
    Category.UNAVAILABLE: Handling(http_status=503, exit_code=7, is_retryable=True),
    Category.TOO_LARGE: Handling(http_status=413, exit_code=6),
    Category.STATE_UNKNOWN: Handling(http_status=503, exit_code=8),
}


class AppError(Exception):
    """Base of the errors that are answered, not raised to the operator."""

    category: ClassVar[Category]
    code: ClassVar[str]
    # Whether a change that ended so may have taken place, or may yet.
    leaves_open: ClassVar[bool] = False
    # Which part of the request it is about, from its argument on: `("trainingData", "0")`. Empty where that is plain.
    place: tuple[str, ...] = ()

    def __init__(self, message: str, **fields: JsonValue) -> None:
        # What a user typed is told back, and JSON and argv can spell lone surrogates, which no UTF-8 answer can carry.
        self.message = _encodable(message)
        self.fields = {name: _encodable_value(value) for name, value in fields.items()}
        super().__init__(self.message)

    @property
    def handling(self) -> Handling:
        """The row of the table that the faces go by."""
        return HANDLING[self.category]

    @property
    def docs(self) -> str:
        """Where this error is explained."""
        return f"{DOCS_PAGE}#{self.code.lower()}"


class NotFound(AppError):
    """Something named does not exist."""

    category = Category.NOT_FOUND


class Invalid(AppError):
    """The request itself is wrong; the same request will never succeed."""

    category = Category.INVALID


class AlreadyExists(AppError):
    """The name is taken by something else."""

    category = Category.ALREADY_EXISTS


class Conflict(AppError):
    """Someone else changed what the request was decided on; look again and retry."""

    category = Category.CONFLICT


class Protected(AppError):
    """A rule guards this; `force` may override it."""

    category = Category.PROTECTED


class Forbidden(AppError):
    """The caller may not do this."""

    category = Category.FORBIDDEN


class Expired(AppError):
    """It existed, and the source has dropped it."""

    category = Category.EXPIRED


class Unsupported(AppError):
    """The request is right, but this table or catalog cannot do it."""

    category = Category.UNSUPPORTED


class Unavailable(AppError):
    """A backend is away; the request may be tried again."""

    category = Category.UNAVAILABLE
    leaves_open = True


class TooLarge(AppError):
    """The answer would cost more than is allowed at once."""

    category = Category.TOO_LARGE


class StateUnknown(AppError):
    """The catalog did not say whether the change took place; do not repeat it blindly."""

    category = Category.STATE_UNKNOWN
    leaves_open = True


@contextlib.contextmanager
def placed(*place: str | int) -> Iterator[None]:
    """For what is done for one part of a request: an error that comes of it tells of which, in its `place`."""
    try:
        yield
    except AppError as error:
        error.place = (*map(str, place), *error.place)
        raise


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _encodable_value(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, list):
        return [_encodable_value(item) for item in value]
    if isinstance(value, dict):
        return {_encodable(key): _encodable_value(item) for key, item in value.items()}
    return value


def did_you_mean(suggestions: Sequence[str]) -> str:
    """The end of a message that offers the closest names, empty where there are none."""
    return f" Did you mean {' or '.join(repr(s) for s in suggestions)}?" if suggestions else ""
