"""What the commands of `diff` and `check` share: the versions that they are given, and how they print findings."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.output import printable
from app.errors import InvalidArgumentError

if TYPE_CHECKING:
    from app.domain.names import DatasetName

# As git has it: with --exit-code, 1 where there is a difference.
DIFFERENT = 1

From = Annotated[str, typer.Argument(metavar="FROM", help="The version compared from.")]
To = Annotated[str | None, typer.Argument(metavar="TO", help="The version compared to; the latest unless given.")]
Other = Annotated[
    str | None,
    typer.Option("--to", metavar="NS.TABLE[@REF]", help="Compare to a version of another dataset instead of TO."),
]
ExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit with 1 where they differ, as git does.")]


class Mark(StrEnum):
    """What a line says."""

    ADDED = "+"
    REMOVED = "-"
    CHANGED = "~"
    WARNING = "!"
    PASSED = "✓"
    FAILED = "✗"
    PLAIN = ""


_STYLES = {
    Mark.ADDED: "green",
    Mark.REMOVED: "red",
    Mark.CHANGED: "yellow",
    Mark.WARNING: "bold red",
    Mark.PASSED: "bold green",
    Mark.FAILED: "bold red",
    Mark.PLAIN: "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line with a mark ahead of it, coloured by it."""

    text: str
    mark: Mark = Mark.PLAIN


def print_lines(lines: Iterable[Line]) -> None:
    """Lines on stdout; in colour on a terminal, unless NO_COLOR is set."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for line in lines:
        shown = printable(f"{line.mark.value} {line.text}" if line.mark else line.text)
        if console.is_terminal:
            # Never wrapped: a line is one difference.
            console.print(Text(shown, style=_STYLES[line.mark]), soft_wrap=True)
        else:
            sys.stdout.write(f"{shown}\n")


def read_target(to: str | None, other: str | None) -> tuple[DatasetName | None, str | None]:
    """The dataset, where it is another one, and the version compared to. Raises InvalidArgumentError."""
    from app.domain.uses import parse_dataset_at

    if other is None:
        return None, to
    if to is not None:
        raise InvalidArgumentError("--to", "it has a version of its own; give it or TO")
    return parse_dataset_at(other)


def end_with(*, is_different: bool, exit_code: bool) -> None:
    """End the command as `--exit-code` has it."""
    if is_different and exit_code:
        raise typer.Exit(DIFFERENT)
