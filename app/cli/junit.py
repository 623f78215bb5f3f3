"""What a check came to as a JUnit file, which systems of continuous integration read.

One suite with one test case, whose class and name stay the same from run to run, so that it has a history there; the
versions are its properties. As pytest's own: a `failure` where it did not pass, an `error` where nobody can tell.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # written here, never read

from app.cli.output import printable
from app.errors import AppError, InvalidArgumentError

if TYPE_CHECKING:
    from app.domain.checks.results import CheckResult

STDOUT = "-"


@dataclass(slots=True, kw_only=True)
class JUnitFile:
    """A JUnit file to be written when the check is over; none where `target` is None."""

    target: str | None
    kind: str
    name: str
    started: float = field(default_factory=time.monotonic)

    @property
    def is_stdout(self) -> bool:
        """Whether it is written in place of all else on stdout."""
        return self.target == STDOUT

    @contextmanager
    def being_written(self) -> Iterator[None]:
        """The file says, from the start, that nobody can tell, until `write` has told what the check came to.

        So no file of an earlier run says that all was well, however this one ends.

        Raises:
            InvalidArgumentError: the file cannot be written.
        """
        if not self.is_stdout:
            self._write({"errors": 1}, self._case("error", "UNFINISHED", ["The check has not come to an end."]))
        try:
            yield
        except AppError as error:
            self._write({"errors": 1}, self._case("error", error.code, [error.message]))
            raise

    def write(self, result: CheckResult) -> None:
        """Write what the check came to. Raises InvalidArgumentError where the file cannot be written."""
        failures = [finding.message for finding in result.failures]
        told = [finding.message for finding in result.findings if not finding.is_failure]
        case = self._case("failure", f"{result.name}: did not pass", failures) if failures else self._case()
        _set_properties(case, {"from": result.subject.before, "to": result.subject.after})
        if told:
            ET.SubElement(case, "system-out").text = _lines(told)
        self._write({"failures": int(bool(failures))}, case)

    def _case(self, outcome: str = "", message: str = "", lines: list[str] | None = None) -> ET.Element:
        case = ET.Element("testcase", classname=f"stratigraph.check.{self.kind}", name=printable(self.name))
        case.set("time", self._elapsed)
        if outcome:
            ET.SubElement(case, outcome, message=printable(message)).text = _lines(lines or [])
        return case

    def _write(self, counts: dict[str, int], case: ET.Element) -> None:
        if self.target is None:
            return
        root = ET.Element("testsuites", name="stratigraph check")
        suite = ET.SubElement(root, "testsuite", name=f"stratigraph check {self.kind}")
        for name, count in {"errors": 0, "failures": 0, "skipped": 0, "tests": 1, **counts}.items():
            suite.set(name, str(count))
        suite.set("time", self._elapsed)
        suite.append(case)
        text = ET.tostring(root, encoding="unicode", xml_declaration=False)
        document = f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'
        if self.is_stdout:
            sys.stdout.write(document)
            return
        path = Path(self.target)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(document, encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InvalidArgumentError("--junit", f"{printable(self.target)} cannot be written: {error}") from error

    @property
    def _elapsed(self) -> str:
        return f"{time.monotonic() - self.started:.3f}"


def _set_properties(case: ET.Element, values: dict[str, str]) -> None:
    properties = ET.Element("properties")
    for name, value in values.items():
        ET.SubElement(properties, "property", name=name, value=printable(value))
    case.insert(0, properties)


def _lines(texts: list[str]) -> str:
    # What XML cannot carry (control characters, lone surrogates) is written out.
    return "\n".join(map(printable, texts))
