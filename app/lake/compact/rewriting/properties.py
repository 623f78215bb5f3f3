"""Table properties that say how files are written."""

from __future__ import annotations

from collections.abc import Mapping

from app.errors import InvalidTablePropertyError


def whole_number(properties: Mapping[str, str], name: str, default: int, *, least: int = 1) -> int:
    """A property that is a whole number. Raises InvalidTablePropertyError."""
    text = properties.get(name)
    if text is None:
        return default
    try:
        number = int(text)
    except ValueError as error:
        raise InvalidTablePropertyError(name, text, "a whole number is needed") from error
    if not least <= number < 2**31:
        raise InvalidTablePropertyError(name, text, f"a whole number from {least} to {2**31 - 1} is needed")
    return number


def truth(properties: Mapping[str, str], name: str) -> bool:
    """A property that is true or false, which it is where it is not set. Raises InvalidTablePropertyError."""
    text = properties.get(name, "false")
    if text.lower() not in ("true", "false"):
        raise InvalidTablePropertyError(name, text, "true or false is needed")
    return text.lower() == "true"


def fraction(properties: Mapping[str, str], name: str, default: float) -> float:
    """A property between 0 and 1, both excluded. Raises InvalidTablePropertyError."""
    text = properties.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError as error:
        raise InvalidTablePropertyError(name, text, "a number is needed") from error
    if not 0 < number < 1:
        raise InvalidTablePropertyError(name, text, "a number between 0 and 1 is needed")
    return number
