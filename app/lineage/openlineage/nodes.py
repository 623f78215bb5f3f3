"""A place in an event's JSON that knows its pointer, so that whatever is wrong can be said where it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

from app.domain.events import EventWarning
from app.lineage.openlineage.body import escaped

MAX_NAME_CHARS = 2000
MAX_WARNINGS = 100
MAX_POINTER_CHARS = 1000

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# What templates leave behind that nobody filled in: ${…}, {{ … }}.
_PLACEHOLDER = re.compile(r"\$\{[^}]*\}|\{\{.*?\}\}")
_INT64_MAX = 2**63 - 1


class FaultError(Exception):
    """Something is wrong at a place; the caller knows whether the event fails for it or goes without."""

    def __init__(self, node: Node, reason: str) -> None:
        super().__init__(f"{node.pointer}: {reason}")
        self.node = node
        self.reason = reason


class Warnings:
    """The warnings of one event, at most so many that they can be read."""

    def __init__(self) -> None:
        self._found: list[EventWarning] = []
        self._left_out = 0

    def add(self, pointer: str, message: str) -> None:
        """Note one; a pointer or message that no database could keep is made one that can."""
        if len(self._found) < MAX_WARNINGS:
            self._found.append(EventWarning(pointer=_storable(pointer), message=_storable(message)))
        else:
            self._left_out += 1

    @property
    def all(self) -> tuple[EventWarning, ...]:
        """In the order in which they were met."""
        if not self._left_out:
            return tuple(self._found)
        more = EventWarning(pointer="", message=f"{self._left_out} more warnings were left out")
        return (*self._found, more)


class Node:
    """A value and where it is; None stands for null and for nothing there, which mean the same in OpenLineage."""

    __slots__ = ("_key", "_parent", "value", "warnings")

    def __init__(self, value: Any, warnings: Warnings, parent: Node | None = None, key: str | int = "") -> None:
        self.value = value
        self.warnings = warnings
        self._parent = parent
        self._key = key

    @property
    def pointer(self) -> str:
        """The JSON pointer of the place (RFC 6901)."""
        steps = []
        node = self
        while node._parent is not None:
            steps.append(escaped(node._key))
            node = node._parent
        return "".join(reversed(steps))

    @property
    def is_given(self) -> bool:
        """Whether there is anything but null."""
        return self.value is not None

    def fail(self, reason: str) -> NoReturn:
        """Say that this is wrong.

        Raises:
            FaultError: always.
        """
        raise FaultError(self, reason)

    def warn(self, message: str) -> None:
        """Say what was left out or guessed here."""
        self.warnings.add(self.pointer, message)

    def child(self, name: str) -> Node:
        """A member of this object.

        Raises:
            FaultError: this is no object.
        """
        if not isinstance(self.value, dict):
            self.fail("it is missing" if self.value is None else f"it is {_kind(self.value)}, not an object")
        return Node(self.value.get(name), self.warnings, self, name)

    def members(self) -> Iterator[tuple[str, Node]]:
        """All members of this object; none, where nothing is given.

        Raises:
            FaultError: it is something else.
        """
        if self.value is None:
            return
        self.child("")
        for name, value in self.value.items():
            yield name, Node(value, self.warnings, self, name)

    def elements(self, *, at_most: int | None = None) -> Iterator[Node]:
        """All elements of this array; none, where nothing is given.

        Raises:
            FaultError: it is something else, or has too many.
        """
        if self.value is None:
            return
        if not isinstance(self.value, list):
            self.fail(f"it is {_kind(self.value)}, not an array")
        if at_most is not None and len(self.value) > at_most:
            self.fail(f"it has {len(self.value)} elements, and {at_most} are allowed")
        for place, value in enumerate(self.value):
            yield Node(value, self.warnings, self, place)

    def text(self) -> str:
        """A text; NUL, which no database keeps, is replaced with a warning.

        Raises:
            FaultError: it is something else.
        """
        if not isinstance(self.value, str):
            self.fail("it is missing" if self.value is None else f"it is {_kind(self.value)}, not a text")
        if "\x00" in self.value:
            self.warn("the character NUL was replaced")
            return self.value.replace("\x00", "\ufffd")
        return self.value

    def name(self) -> str:
        """A text that names something.

        Raises:
            FaultError: it is no text, empty, too long, or has a NUL in it.
        """
        if isinstance(self.value, str) and "\x00" in self.value:
            self.fail("a name cannot have the character NUL in it")
        name = self.text()
        if not name.strip():
            self.fail("it is empty")
        if len(name) > MAX_NAME_CHARS:
            self.fail(f"it has {len(name)} characters, and a name has at most {MAX_NAME_CHARS}")
        return name

    def run_id(self) -> UUID:
        """A UUID.

        Raises:
            FaultError: it is none, or a placeholder.
        """
        text = self.filled_in()
        if not _UUID.fullmatch(text):
            self.fail(f"{shortened(text)} is not a UUID")
        return UUID(text)

    def filled_in(self) -> str:
        """A text that is no placeholder.

        Raises:
            FaultError: it is one, or no text.
        """
        text = self.text()
        if found := _PLACEHOLDER.search(text):
            self.fail(f"it is a placeholder, {shortened(found[0])}, instead of a value")
        return text

    def optional_text(self, name: str) -> str | None:
        """A member that may be missing; one that is no text is left out with a warning, an empty one without."""
        member = self.child(name)
        if not member.is_given:
            return None
        try:
            return member.text() or None
        except FaultError as fault:
            fault.node.warn(f"{fault.reason}; it is ignored")
            return None

    def optional_count(self, name: str) -> int | None:
        """A member that may be missing; one that is no whole number from 0 to 2^63 - 1 is left out with a warning."""
        member = self.child(name)
        value = member.value
        if value is None:
            return None
        # Comparing, unlike arithmetic, works on Decimals of any exponent.
        if isinstance(value, Decimal) and 0 <= value <= _INT64_MAX and value == value.to_integral_value():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _INT64_MAX:
            member.warn("it is not a whole number from 0 to 2^63 - 1; it is ignored")
            return None
        return value


def shortened(text: str) -> str:
    """A text as it is told back."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    kinds: dict[type, str] = {str: "a text", dict: "an object", list: "an array"}
    return kinds.get(type(value), "a number")


def _storable(text: str) -> str:
    text = text.replace("\x00", "\ufffd")
    return text if len(text) <= MAX_POINTER_CHARS else text[: MAX_POINTER_CHARS - 3] + "..."
