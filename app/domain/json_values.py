"""JSON that can be kept: what Postgres and the readers of an answer can carry without losing any of it."""

from __future__ import annotations

import math

from app.domain.names import is_storable

MAX_NESTING = 64
# What the database's driver and the answers write digit by digit.
LEAST_INTEGER, GREATEST_INTEGER = -(2**63), 2**63 - 1
NO_INTEGER = "the number has more than 64 bits; write it as a text"
NO_NUMBER = "NaN and infinity are no numbers of JSON"
NO_TEXT = "a text in it has a NUL or a lone surrogate, which no database can keep"
TOO_DEEP = f"it is nested deeper than {MAX_NESTING} levels"


def pointer_step(key: str | int) -> str:
    """A member's name or an element's place as a step of a JSON pointer (RFC 6901 section 3)."""
    return "/" + str(key).replace("~", "~0").replace("/", "~1")


def find_fault(value: object) -> tuple[str, str] | None:
    """What of a value cannot be kept, as a JSON pointer and a reason; the first one in its order, None for none.

    Takes time linear in the value's size, however it is nested.
    """
    # By a list of its own rather than by recursion: the value may be nested as deep as its parser goes.
    waiting: list[tuple[object, str, int]] = [(value, "", 1)]
    while waiting:
        item, pointer, depth = waiting.pop()
        if (reason := _fault_of(item, depth)) is not None:
            return pointer, reason
        if isinstance(item, dict):
            for key in item:
                if not isinstance(key, str):
                    return pointer, f"the name of a member is a text, not {type(key).__name__}"
                if not is_storable(key):
                    return pointer, NO_TEXT
            # Backwards, because the last one is taken first.
            waiting += [(item[key], pointer + pointer_step(key), depth + 1) for key in reversed(item)]
        elif isinstance(item, list):
            waiting += [(item[place], f"{pointer}/{place}", depth + 1) for place in reversed(range(len(item)))]
    return None


def _fault_of(item: object, depth: int) -> str | None:
    if isinstance(item, str):
        return None if is_storable(item) else NO_TEXT
    if item is None or isinstance(item, bool):
        return None
    if isinstance(item, int):
        return None if LEAST_INTEGER <= item <= GREATEST_INTEGER else NO_INTEGER
    if isinstance(item, float):
        return None if math.isfinite(item) else NO_NUMBER
    if isinstance(item, list | dict):
        return TOO_DEEP if depth > MAX_NESTING else None
    return f"JSON has no {type(item).__name__}"
