"""The JSON of a body: read without losing a digit, and written again as the bytes that identify an event."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import orjson

from app.errors import InvalidEventError

# orjson, which writes the canonical bytes, stops a little above.
MAX_NESTING = 250
MAX_NUMBER_CHARS = 1000
_SURE_DIGITS = 18  # what always fits 64 bits


def read_json(body: bytes) -> Any:
    """The value of a body. Integers beyond 64 bits and all fractions are Decimals of exactly what was written.

    Raises:
        InvalidEventError: it is not UTF-8, not JSON, or nested too deep.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidEventError("", f"the body is not UTF-8 (byte {error.start})") from error
    # Not orjson: it rounds integers above 2^64 to floats, and floats to 53 bits.
    try:
        return json.loads(
            text, parse_int=_whole, parse_float=_decimal, parse_constant=_no_number, object_hook=_give_way
        )
    except json.JSONDecodeError as error:
        raise InvalidEventError("", f"the body is not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise InvalidEventError("", f"it is nested deeper than {MAX_NESTING} levels") from error


def canonical_bytes(value: Any, index: int | None) -> bytes:
    """An event's value as bytes that do not depend on blanks, escapes and the order of members.

    Raises:
        InvalidEventError: it is nested too deep, or holds what UTF-8 cannot carry.
    """
    try:
        return orjson.dumps(value, default=_raw_number, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        for pointer, reason in _faults(value):
            raise InvalidEventError(pointer, reason, index) from error
        raise


def escaped(key: str | int) -> str:
    """A member's name or an element's place as a step of a JSON pointer (RFC 6901 section 3)."""
    return "/" + str(key).replace("~", "~0").replace("/", "~1")


def _give_way(members: dict[str, Any]) -> dict[str, Any]:
    # The decoder, which is C, keeps other threads waiting until it is done (1.8 s for 50 MB), unless it calls Python.
    return members


def _whole(text: str) -> int | Decimal:
    return int(text) if len(text) <= _SURE_DIGITS else _decimal(text)


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_NUMBER_CHARS:
        _no_number(text)
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of many digits
        _no_number(text)


def _no_number(text: str) -> NoReturn:
    shown = text if len(text) <= 40 else text[:37] + "..."
    raise InvalidEventError("", f"{shown} is no number that can be kept")


def _raw_number(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"JSON has no {type(value).__name__}")


def _faults(value: Any) -> Iterator[tuple[str, str]]:
    # By a list of its own rather than by recursion: the value may be nested as deep as the parser goes.
    waiting: list[tuple[Any, str, int]] = [(value, "", 1)]
    while waiting:
        item, pointer, depth = waiting.pop()
        if depth > MAX_NESTING:
            yield pointer, f"it is nested deeper than {MAX_NESTING} levels"
        if isinstance(item, str) and _is_broken(item):
            yield pointer, "the text holds a lone surrogate, which is no character"
        elif isinstance(item, dict):
            if any(_is_broken(key) for key in item):
                yield pointer, "the name of a member holds a lone surrogate, which is no character"
            waiting += [(child, pointer + escaped(key), depth + 1) for key, child in item.items()]
        elif isinstance(item, list):
            waiting += [(child, pointer + escaped(place), depth + 1) for place, child in enumerate(item)]


def _is_broken(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)
