"""What arguments of a policy have to be."""

from __future__ import annotations

from app.errors import InvalidArgumentError


def check_count(argument: str, value: object, *, least: int, most: int) -> int:
    """The value itself, once it is known to be a whole number in range. Raises InvalidArgumentError."""
    # A bool is an int in Python, and nobody means 1 by True.
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidArgumentError(argument, f"a whole number is needed, not {str(value)[:40]!r}")
    if not least <= value <= most:
        shown = str(value) if abs(value) < 10**18 else "that many"
        raise InvalidArgumentError(argument, f"{shown} is not between {least} and {most}")
    return value


def check_bool(argument: str, value: object) -> None:
    """That it is true or false, and nothing that is merely taken for it. Raises InvalidArgumentError."""
    if not isinstance(value, bool):
        raise InvalidArgumentError(argument, f"true or false is needed, not {str(value)[:40]!r}")
