"""Tables as lines: as wide as a terminal, or as what is in them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

Rows = Sequence[Sequence[str]]

# Of what is told below a row, and of where that goes on.
_INDENT = "    "
_LEAST_WIDTH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table; an `is_id` column is never wrapped or cut.

    On a terminal that is too narrow for all, `is_note` columns go below each row, the last one first.
    """

    header: str
    is_id: bool = False
    justify: Literal["left", "right"] = "left"
    is_note: bool = False


def table_lines(console: Console, columns: Sequence[Column], rows: Rows) -> list[str]:
    """The header and the rows; on a terminal as wide as the ids need, else as everything does, one row a line."""
    beside, below = list(columns), list[Column]()
    if console.is_terminal:
        while _width(console, columns, rows, beside).maximum > console.width:
            note = next((column for column in reversed(beside) if column.is_note), None)
            if note is None:
                break
            beside.remove(note)
            below.insert(0, note)
    table = _table(columns, rows, beside, is_wrapped=not below)
    width = _width(console, columns, rows, beside)
    is_fitted = console.is_terminal and not below
    lines = _rendered(table, max(width.minimum, console.width) if is_fitted else width.maximum)
    return list(_with_notes(console.width, columns, rows, lines, below)) if below else lines


def _table(columns: Sequence[Column], rows: Rows, shown: Sequence[Column], *, is_wrapped: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in shown:
        no_wrap = column.is_id or not is_wrapped
        table.add_column(column.header, no_wrap=no_wrap, overflow="fold", justify=column.justify)
    places = [place for place, column in enumerate(columns) if column in shown]
    for row in rows:
        # As Text, because brackets in data are no markup.
        table.add_row(*(Text(row[place]) for place in places))
    return table


def _width(console: Console, columns: Sequence[Column], rows: Rows, shown: Sequence[Column]) -> Measurement:
    from rich.measure import Measurement

    table = _table(columns, rows, shown, is_wrapped=True)
    return Measurement.get(console, console.options.update(width=1_000_000), table)


def _rendered(table: Table, width: int) -> list[str]:
    from rich.console import Console

    console = Console(width=width)
    with console.capture() as captured:
        console.print(table, crop=False)
    return [line.rstrip() for line in captured.get().splitlines()]


def _with_notes(
    width: int, columns: Sequence[Column], rows: Rows, lines: Sequence[str], below: Sequence[Column]
) -> Iterator[str]:
    """The lines of a table, each row with what has no place beside it, but for what is not there (`-`)."""
    header, *of_rows = lines
    yield header
    for row, line in zip(rows, of_rows, strict=True):
        yield line
        for column, cell in zip(columns, row, strict=True):
            if column in below and cell not in ("", "-"):
                # Words are not broken: there are ids among them.
                yield from textwrap.wrap(
                    f"{column.header}: {cell}",
                    max(_LEAST_WIDTH, width),
                    initial_indent=_INDENT,
                    subsequent_indent=2 * _INDENT,
                    break_long_words=False,
                    break_on_hyphens=False,
                )
