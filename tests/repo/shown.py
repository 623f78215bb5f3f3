"""Comparing what a document shows with what really comes out.

Conventions of the documents:

- `…` stands for any text within a line; a line that is nothing else stands for any number of lines. In JSON a value
  `"…"` stands for any value, and as the last item of a list for any further ones.
- Snapshot ids, undo tags and UUIDs are those of the run in which the page was written. The first time one is shown it
  is matched with the real one, and from then on it means that: in commands, in variables and in answers.
- Instants (`2026-02-15T10:00:00Z`) in answers stand for any instant. Runs of spaces count as one.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

ANY = "…"
_ID = re.compile(
    r"(?P<undo>pre_rollback_\d{8}T\d{6,9}Z_\d+)"
    r"|(?P<uuid>\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b)"
    r"|(?P<id>(?<![\w.])\d{15,19}(?![\w.]*\w))"
)
_REAL = {
    "undo": r"pre_rollback_\d{8}T\d{6,9}Z_\d+",
    "uuid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "id": r"\d{10,19}",
}
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_PIECES = re.compile(rf"(?P<any>{ANY})|(?P<space>[ \t]+)|(?P<instant>{_INSTANT.pattern})|{_ID.pattern}")


class Shown:
    """What the ids that a document shows mean in this run."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}

    def to_real(self, text: str) -> str:
        """The text with the ids of this run."""
        return _ID.sub(lambda match: self._real.get(match.group(), match.group()), text)

    def check_text(self, shown: str, actual: str) -> None:
        """That the output is the one shown. Raises AssertionError."""
        shown, actual = _tidy(shown), _tidy(actual)
        groups: dict[str, str] = {}
        lines = [
            r"(?:[^\n]*\n)*?" if line == ANY else self._line_pattern(line, groups) + r"\n"
            for line in shown.splitlines()
        ]
        match = re.fullmatch("".join(lines), actual + "\n" if actual else "")
        if match is None:
            diff = "\n".join(difflib.ndiff(self.to_real(shown).splitlines(), actual.splitlines()))
            raise AssertionError(f"The document shows something else (-) than comes out (+):\n{diff}")
        for token, group in groups.items():
            self._bind(token, match[group])

    def check_json(self, shown: Any, actual: Any, where: str = "answer") -> None:
        """That the JSON value is the one shown. Raises AssertionError."""
        if shown == ANY:
            return
        if isinstance(shown, str) and isinstance(actual, str):
            try:
                self.check_text(shown, actual)
            except AssertionError as error:
                raise AssertionError(f"{where}: {error}") from None
        elif isinstance(shown, dict) and isinstance(actual, dict):
            assert list(shown) == list(actual), f"{where}: shows the keys {list(shown)}, has {list(actual)}"
            for key, value in shown.items():
                self.check_json(value, actual[key], f"{where}.{key}")
        elif isinstance(shown, list) and isinstance(actual, list):
            is_open = bool(shown) and shown[-1] == ANY
            items = shown[:-1] if is_open else shown
            has_length = len(actual) >= len(items) if is_open else len(actual) == len(items)
            assert has_length, f"{where}: shows {len(items)} items, has {len(actual)}: {json.dumps(actual)[:2000]}"
            for number, item in enumerate(items):
                self.check_json(item, actual[number], f"{where}[{number}]")
        else:
            assert (type(shown), shown) == (type(actual), actual), f"{where}: shows {shown!r}, is {actual!r}"

    def _line_pattern(self, line: str, groups: dict[str, str]) -> str:
        pattern, position = "", 0
        for piece in _PIECES.finditer(line):
            pattern += re.escape(line[position : piece.start()])
            pattern += self._piece_pattern(piece, groups)
            position = piece.end()
        return pattern + re.escape(line[position:])

    def _piece_pattern(self, piece: re.Match[str], groups: dict[str, str]) -> str:
        kind, token = str(piece.lastgroup), piece.group()
        if kind == "any":
            return r"[^\n]*?"
        if kind == "space":
            return r"[ \t]+"
        if kind == "instant":
            return _INSTANT.pattern
        if token in self._real:
            return re.escape(self._real[token])
        if token in groups:
            return f"(?P={groups[token]})"
        groups[token] = f"id{len(groups)}"
        return f"(?P<{groups[token]}>{_REAL[kind]})"

    def _bind(self, token: str, real: str) -> None:
        taken = next((other for other, value in self._real.items() if value == real and other != token), None)
        assert taken is None, f"{real} is shown as {taken} already, and now as {token}"
        self._real[token] = real


def _tidy(text: str) -> str:
    return "\n".join(re.sub(r"[ \t]+", " ", line).rstrip() for line in text.strip("\n").splitlines())
