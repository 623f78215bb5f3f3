"""Reading path and query parameters: everything unknown, doubled or malformed is refused."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from uuid import UUID

from starlette.requests import Request

from app.domain.names import DatasetName
from app.domain.pages import PageRequest
from app.errors import InvalidArgumentError
from app.lake.encoding import RowFormat, encoder_for, media_types

MAX_LIMIT = 2**63 - 1

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DIGITS = re.compile(r"[0-9]{1,19}")
_WHOLE = re.compile(r"-?[0-9]{1,9}", re.ASCII)


def read_query(request: Request, allowed: Sequence[str], *, may_be_empty: Sequence[str] = ()) -> dict[str, str]:
    """The query parameters that were given a value; an empty one counts as left out, but for those that may be empty.

    Raises:
        InvalidArgumentError: one that is not allowed, or that comes twice.
    """
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in allowed:
            known = f"allowed are {', '.join(allowed)}" if allowed else "none is allowed here"
            raise InvalidArgumentError(name[:80], f"there is no such query parameter; {known}")
        if name in found:
            raise InvalidArgumentError(name, "it is given more than once")
        found[name] = value
    return {name: value for name, value in found.items() if value or name in may_be_empty}


def dataset_name(request: Request) -> DatasetName:
    """The dataset of `/datasets/{ns}/{table}`; a namespace of several levels has dots.

    Raises:
        InvalidNameError: a part is malformed.
    """
    return DatasetName.checked(request.path_params["ns"], request.path_params["table"])


def read_uuid(argument: str, text: str) -> UUID:
    """A UUID in its usual form. Raises InvalidArgumentError."""
    if not _UUID.fullmatch(text):
        raise InvalidArgumentError(argument, f"{text[:80]!r} is not a UUID")
    return UUID(text)


def read_flag(argument: str, text: str) -> bool:
    """`true` or `false`. Raises InvalidArgumentError."""
    if text not in ("true", "false"):
        raise InvalidArgumentError(argument, f"{text[:40]!r} is neither true nor false")
    return text == "true"


def read_whole(query: dict[str, str], name: str) -> int | None:
    """A whole number; None where there is no such parameter. Raises InvalidArgumentError."""
    text = query.get(name)
    if text is None:
        return None
    if not _WHOLE.fullmatch(text):
        raise InvalidArgumentError(name, f"{text[:40]!r} is not a whole number in range")
    return int(text)


def read_limit(text: str | None) -> int | None:
    """`limit` as a number from 1 on; None for no limit.

    Raises:
        InvalidArgumentError: it is anything else.
    """
    if text is None:
        return None
    number = int(text) if _DIGITS.fullmatch(text) else 0
    if not 1 <= number <= MAX_LIMIT:
        raise InvalidArgumentError("limit", f"{text[:40]!r} is not a whole number from 1 on")
    return number


def read_columns(text: str | None) -> tuple[str, ...] | None:
    """`columns` separated by commas, none for an empty text; a name with a comma in it is put in double quotes.

    Raises:
        InvalidArgumentError: an empty name, one that comes twice, or a quote that does not end.
    """
    if text is None:
        return None
    try:
        (columns,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise InvalidArgumentError("columns", "names are separated by commas, on one line") from error
    for position, column in enumerate(columns):
        if not column:
            raise InvalidArgumentError("columns", "a name is empty")
        if column in columns[:position]:
            raise InvalidArgumentError("columns", f"{column[:80]!r} is named twice")
    return tuple(columns)


def read_page(query: dict[str, str]) -> PageRequest:
    """The page asked for by `first` (or `limit`, the same) and `after`.

    Raises:
        InvalidPageError: a size that is not from 1 to 100.
        InvalidArgumentError: not a number, or both names.
    """
    if "first" in query and "limit" in query:
        raise InvalidArgumentError("limit", "it means the same as first; give one of the two")
    text = query.get("first", query.get("limit"))
    if text is not None and not _WHOLE.fullmatch(text):
        raise InvalidArgumentError("first" if "first" in query else "limit", f"{text[:40]!r} is not a whole number")
    return PageRequest(first=None if text is None else int(text), after=query.get("after"))


def read_format(text: str | None, accept: str | None) -> RowFormat | None:
    """The format asked for by `format`, else by the Accept header, else JSON; None where nothing accepted can be made.

    Raises:
        InvalidArgumentError: `format` names none.
    """
    if text is not None:
        encoder_for(text)
        return RowFormat(text)
    if not accept or not accept.strip():
        return RowFormat.JSON
    return _negotiate(accept)


def accepts(accept: str | None, media_type: str) -> bool:
    """Whether an Accept header lets an answer be of this type; it does where there is none."""
    if not accept or not accept.strip():
        return True
    return _quality(media_type, [_parse_range(part) for part in accept.split(",")]) > 0


def _negotiate(accept: str) -> RowFormat | None:
    ranges = [_parse_range(part) for part in accept.split(",")]
    best: tuple[float, RowFormat] | None = None
    for row_format, media_type in media_types().items():
        # Formats come in our order of preference.
        quality = _quality(media_type.partition(";")[0], ranges)
        if quality > 0 and (best is None or quality > best[0]):
            best = (quality, row_format)
    return best[1] if best else None


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    # The most specific range decides (RFC 9110 section 12.5.1).
    candidates = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((q for wanted in candidates for name, q in ranges if name == wanted), 0.0)


def _parse_range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((text[2:].strip() for text in parameters if text.startswith("q=")), "1")
    try:
        return name, min(1.0, max(0.0, float(quality)))
    except ValueError:
        return name, 0.0
